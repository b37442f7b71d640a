"""Files of 16 bits that were written with fewer, and would be shown almost black."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lit_coiba.data.files.image_file import largest_value
from lit_coiba.data.files.pixel_values import FULL

_ENDINGS = (".png", ".tif", ".tiff", ".pgm", ".ppm", ".pnm", ".jp2", ".j2k")  # of formats with 16 bits
_SMALL = (FULL + 1) // 16  # a largest value below this is told
_LOOKED_AT = 32  # files whose header is read
_DECODED = 8


def small_range(root: Path, names: Sequence[str]) -> str | None:
    """The sentence about files of 16 bits that use less than a sixteenth of their range; None where all is well.

    Only a few files are looked at, evenly spaced.

    Args:
        root: The folder of the files.
        names: Relative POSIX paths.
    """
    deep = [name for name in names if name.lower().endswith(_ENDINGS)]
    wanted = min(len(deep), _LOOKED_AT)
    found: list[int] = []
    for name in (deep[k * len(deep) // wanted] for k in range(wanted)):
        try:
            value = largest_value(root / name)
        except OSError:  # a failure of its own, when it is read
            continue
        if value is not None:
            found.append(value)
        if len(found) == _DECODED:
            break
    largest = max(found, default=FULL)
    if largest >= _SMALL:
        return None
    bits = max(largest.bit_length(), 8)
    return (
        f"the images have 16 bits, and the largest value in the {len(found)} that were looked at is {largest} of {FULL}"
        f": they are shown almost black; give the value of white as data.maximum, such as {2**bits - 1}"
    )
