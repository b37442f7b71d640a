"""How much a compressed file becomes: known from its directory, before any of it is unpacked."""

from __future__ import annotations

import errno
import zipfile
from pathlib import Path

from lit_coiba.files.regular import MEGABYTE, open_regular

FACTOR = 4  # an archive may hold so many times its own size,
SPARE = 64 * MEGABYTE  # and this much more: arrays of zeros pack well
ENTRIES = 200_000  # of an archive


def check_inflation(path: Path, factor: float = FACTOR) -> None:
    """Refuse an archive (``.npz``, ``.pth``, ``.zip``) that holds far more than its own size.

    Args:
        path: The file; what is no archive passes.
        factor: Number of its own sizes that it may hold.

    Raises:
        OSError: It holds more, or its directory is damaged.
    """
    with open_regular(path) as file:
        if file.read(4) != b"PK\x03\x04":
            return
        size = path.stat().st_size
        try:
            with zipfile.ZipFile(file) as archive:
                entries = archive.infolist()
        except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
            raise OSError(errno.EINVAL, "its directory is damaged", str(path)) from error
    inflated = sum(entry.file_size for entry in entries)
    if inflated > factor * size + SPARE or len(entries) > ENTRIES:
        raise OSError(
            errno.EFBIG,
            f"its {size / MEGABYTE:.1f} MB unpack to {inflated / MEGABYTE:,.0f} MB, which is refused",
            str(path),
        )
