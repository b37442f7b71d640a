"""What a TIFF may hold beyond one picture in color: pages, and bands that are no color."""

from __future__ import annotations

from typing import Any

from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

_SUBFILE, _WIDTH, _HEIGHT, _ORIENTATION, _BANDS = 254, 256, 257, 274, 277
_EXTRA = 338  # what the bands beyond the colors are: 1 and 2 stand for alpha
_COLORS, _CMYK = 262, 5
_SMALLER = 1  # bit of `_SUBFILE`: the page is the first one in fewer pixels
_ON_SIDE = (5, 6, 7, 8)  # orientations


def check_tiff(file: Any) -> None:
    """Refuse a TIFF of which only a part would be read; the file is then at its start.

    Copies of the first page in fewer pixels do not count as pages.

    Raises:
        ValueError: It has several pages, or bands beyond color and alpha; one clause.
    """
    header = file.read(8)
    if header[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        header += file.read(8) if b"+" in header[:4] else b""  # files of more than 4 GB
        first, pages = None, 0
        seen: set[int] = set()
        directory: Any = ImageFileDirectory_v2(header)
        at = directory.next
        while at and at not in seen and len(seen) < 1000:
            seen.add(at)
            file.seek(at)
            page: Any = ImageFileDirectory_v2(header)
            page.load(file)
            first = first or page
            pages += not int(page.get(_SUBFILE, 0)) & _SMALLER or page is first
            at = page.next
        if first is not None and pages > 1:
            raise ValueError(f"it is a TIFF of {pages} pages: save the page that is meant as a file of its own")
        if first is not None:
            _check_bands(first)
    file.seek(0)


def _check_bands(page: Any) -> None:
    bands = int(page.get(_BANDS, 1))
    extra = page.get(_EXTRA, ())
    alpha = sum(kind in (1, 2) for kind in (extra if isinstance(extra, tuple) else (extra,)))
    separated = page.get(_COLORS) == _CMYK
    if bands - alpha > (4 if separated else 3) or (bands == 2 and not alpha):
        raise ValueError(f"it is a TIFF of {bands} bands: save the three that are meant as an RGB image")


def tiff_size(image: Any) -> tuple[int, int]:
    """Height and width of a TIFF once it is upright; versions of Pillow differ in what its `size` is before."""
    width, height = int(image.tag_v2[_WIDTH]), int(image.tag_v2[_HEIGHT])
    on_side = image.tag_v2.get(_ORIENTATION, 1) in _ON_SIDE
    return (width, height) if on_side else (height, width)


def is_tiff(image: Image.Image) -> bool:
    """Whether Pillow has read it as a TIFF, which it turns upright itself."""
    return image.format == "TIFF"
