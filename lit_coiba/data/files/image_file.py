"""Image files: one decoded as an RGB picture the right way up, how large it is, and masks."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, ImageFile, UnidentifiedImageError
from PIL.Image import Transpose
from torch import Tensor

from lit_coiba.core.printable import printable
from lit_coiba.data.files.image_bytes import Bounded, check_whole, extent
from lit_coiba.data.files.pixel_values import deep_color_to_rgb, is_deep_color, to_rgb
from lit_coiba.data.files.tiff_file import check_tiff, is_tiff, tiff_size
from lit_coiba.files.regular import clause, open_regular, read_bytes

Source = Path | bytes  # a file, or its content

# Endings of image files -> the format. Formats are named when a file is opened, because Pillow goes by content: a
# PostScript file called x.jpg would be handed to an interpreter.
_ENDINGS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png", ".apng"),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "AVIF": (".avif",),
    "JPEG2000": (".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".jpc"),
}
EXTENSIONS = tuple(sorted(ending for endings in _ENDINGS.values() for ending in endings))

_BYTES_A_PIXEL = 16  # of a file, at most
_PIXELS_A_BYTE, _LARGE = 4096, 32_000_000  # of a file with more pixels than cameras have, at most
_MOST_DEEP = 1 << 30  # bytes of a PNG in color with 16 bits
_GRAY = 2  # levels by which the colors of a gray pixel differ where it was stored as a color JPEG
_ORIENTATION = 0x0112  # EXIF tag
_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


def read_image(path: Source, maximum: float | None = None) -> Image.Image:
    """The picture in a file as 8-bit RGB, turned as its EXIF orientation says; of an animation, the first frame.

    Gray, palette and CMYK pictures are converted, transparent pixels are laid on white, 16-bit gray is scaled to 8
    bits.

    Args:
        path: The file, or its content.
        maximum: Value of white in a file of more than 8 bits, such as 4095 for 12; None = 65535.

    Raises:
        OSError: The file cannot be read, is damaged, or holds more than one picture in color; one clause says why.
    """
    with _opened(path, whole=True) as image:
        deep_color = maximum is not None and is_deep_color(image)
        orientation = _orientation(image)  # of which PNGs are decoded
        if maximum is not None and deep_color:
            content = path if isinstance(path, bytes) else read_bytes(path, _MOST_DEEP)
            upright = deep_color_to_rgb(image, content, maximum)
        else:
            image.load()
            upright = to_rgb(image, maximum)
        return upright.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else upright


def image_size(path: Source) -> tuple[int, int]:
    """Height and width in pixels of what `read_image` returns, from the file's header alone.

    Raises:
        OSError: As `read_image`.
    """
    with _opened(path) as image:
        if is_tiff(image):
            return tiff_size(image)
        width, height = image.size
        return (width, height) if _orientation(image) >= 5 else (height, width)  # 5 to 8 lie on their side


def read_mask(path: Path) -> Tensor:
    """The values of a PNG that says what a pixel belongs to, uint8 ``(H, W)``: gray levels, or indices of a palette.

    Raises:
        OSError: As `read_image`.
    """
    with _opened(path, whole=True, formats=("PNG",)) as image:
        orientation = _orientation(image)
        plane = image if image.mode in ("L", "P") else image.convert("L")
        return torch.from_numpy(np.array(plane.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else plane))


def read_levels(path: Source) -> Tensor:
    """The gray levels of a PNG or JPEG of 8 or 16 bits as shares of white, float32 ``(H, W)``, the right way up.

    Raises:
        OSError: As `read_image`, or it has colors or is transparent, which says nothing about an order of its pixels.
    """
    with _opened(path, whole=True, formats=("PNG", "JPEG")) as image:
        orientation = _orientation(image)
        white = 65535 if image.mode.startswith("I") else 255
        if white == 65535 or image.mode == "L":
            values = np.asarray(image)
        elif "A" in image.mode or "transparency" in image.info:
            raise ValueError("it is transparent in places: save its values as gray levels")
        else:
            colors = np.asarray(image.convert("RGB"))
            values = colors[..., 0]
            if (np.ptp(colors, axis=2) > _GRAY).any():
                raise ValueError("it is in color, and colors have no order: save its values as gray levels")
        turned = {
            2: values[:, ::-1],
            3: values[::-1, ::-1],
            4: values[::-1],
            5: values.T,
            6: values.T[:, ::-1],
            7: values.T[::-1, ::-1],
            8: values.T[::-1],
        }.get(orientation, values)
        return torch.from_numpy(turned.astype(np.float32) / white)


def largest_value(path: Path) -> int | None:
    """The largest value in a picture of 16 bits a channel, of a color picture to its upper 8 bits; None of others.

    Raises:
        OSError: As `read_image`.
    """
    with _opened(path) as image:
        if image.mode.startswith("I;16") or (image.mode == "I" and not is_tiff(image)):
            return int(np.asarray(image).max(initial=0))
        if is_deep_color(image):
            return int(np.asarray(image.convert("RGB")).max(initial=0)) * 256 + 255
        return None


@contextmanager
def _opened(path: Source, whole: bool = False, formats: Sequence[str] = ()) -> Iterator[Image.Image]:
    """An image file with its header read, closed afterwards.

    Args:
        path: The file, or its content.
        whole: Whether to refuse a file that is cut off or damaged, as far as its bytes show it.
        formats: Formats that it may have; none = all that are read.

    Raises:
        OSError: It cannot be read, or whatever a decoder raises until it is closed, as one clause.
    """
    try:
        file: BinaryIO = io.BytesIO(path) if isinstance(path, bytes) else open_regular(path)
    except FileNotFoundError:
        raise FileNotFoundError("the file does not exist") from None
    except OSError as error:
        raise OSError(f"the file cannot be read: {clause(error)}") from None
    with file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        with _plain_errors(size), _decoded(file, size, whole, formats) as image:
            yield image


@contextmanager
def _decoded(file: BinaryIO, size: int, whole: bool, formats: Sequence[str]) -> Iterator[Image.Image]:
    """An image in an opened file of so many bytes, with its header read."""
    if whole:
        check_whole(file)
    bounded = Bounded(file, extent(file))
    check_tiff(bounded)
    with Image.open(bounded, formats=list(formats) or list(_formats())) as image:  # type: ignore[arg-type]
        bounded.budget += _BYTES_A_PIXEL * image.width * image.height
        _check_size(image, size)
        yield image


def _check_size(image: Image.Image, size: int) -> None:
    """Refuse a header that asks for memory which the file cannot fill."""
    if _LARGE < image.width * image.height > _PIXELS_A_BYTE * size:
        raise ValueError(f"it says that it has {image.width} x {image.height} pixels, in {size} bytes")


@cache
def _formats() -> tuple[str, ...]:
    """The formats that this Pillow can decode."""
    Image.init()
    return tuple(name for name in _ENDINGS if name in Image.OPEN)


@contextmanager
def _plain_errors(size: int) -> Iterator[None]:
    """Turns whatever a decoder raises into an OSError with one clause; silences what it warns about."""
    tolerant, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except UnidentifiedImageError:
        what = "the file is empty" if size == 0 else "the file is not an image of a supported format"
        raise OSError(f"{what} ({', '.join(_formats())})") from None
    except Image.DecompressionBombError:
        raise OSError("the image is larger than Pillow decodes safely (see PIL.Image.MAX_IMAGE_PIXELS)") from None
    except Exception as error:  # decoders raise SyntaxError, struct.error, EOFError, zlib.error, ... on broken files
        reason = printable(str(error).strip().splitlines()[0], 200) if str(error).strip() else type(error).__name__
        raise OSError(f"the image cannot be decoded: {reason}") from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = tolerant


def _orientation(image: Image.Image) -> int:
    """How a picture has to be turned when it is loaded, by EXIF; Pillow turns a TIFF itself."""
    if is_tiff(image):
        return 1
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # a broken EXIF block does not spoil the picture
        return 1
