"""Image files: one decoded as an RGB picture the right way up, how large it is, and masks."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFile, UnidentifiedImageError
from PIL.Image import Transpose
from torch import Tensor

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")

# Named, because Pillow goes by content: a PostScript file called x.jpg would be handed to an interpreter.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
_SIXTEEN_BITS = ("PNG", "PPM")  # whose 32-bit mode "I" holds 0 ... 65535

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


def read_image(path: Path) -> Image.Image:
    """The picture in a file as 8-bit RGB, turned as its EXIF orientation says; of an animation, the first frame.

    Gray, palette and CMYK pictures are converted, an alpha channel is dropped, 16-bit gray is scaled to 8 bits.

    Raises:
        OSError: The file cannot be read; the message is one clause that says why.
    """
    with _plain_errors(path), Image.open(path, formats=_FORMATS) as image:
        orientation = _orientation(image)
        image.load()
        if image.format in ("JPEG", "MPO") and not _ends(path.read_bytes()):
            raise ValueError("image file is truncated (no end of image)")
        upright = _rgb(image)
        return upright.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else upright


def image_size(path: Path) -> tuple[int, int]:
    """Height and width in pixels of what `read_image` returns, from the file's header alone.

    Raises:
        OSError: As `read_image`.
    """
    with _plain_errors(path), Image.open(path, formats=_FORMATS) as image:
        width, height = image.size
        return (width, height) if _orientation(image) >= 5 else (height, width)  # 5 to 8 lie on their side


def read_mask(path: Path) -> Tensor:
    """The values of a PNG that says what a pixel belongs to, uint8 ``(H, W)``: gray levels, or indices of a palette.

    Raises:
        OSError: As `read_image`.
    """
    with _plain_errors(path), Image.open(path, formats=["PNG"]) as image:
        return torch.from_numpy(np.array(image if image.mode in ("L", "P") else image.convert("L")))


@contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    """Turns whatever a decoder raises into an OSError with one clause; silences what it warns about."""
    tolerant, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except FileNotFoundError:
        raise FileNotFoundError("the file does not exist") from None
    except UnidentifiedImageError:
        size = path.stat().st_size
        what = "the file is empty" if size == 0 else "the file is not an image of a supported format"
        raise OSError(f"{what} ({', '.join(_FORMATS)})") from None
    except Image.DecompressionBombError:
        raise OSError("the image is larger than Pillow decodes safely (see PIL.Image.MAX_IMAGE_PIXELS)") from None
    except Exception as error:  # decoders raise SyntaxError, struct.error, EOFError, zlib.error, ... on broken files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise OSError(f"the image cannot be decoded: {reason}") from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = tolerant


def _ends(jpeg: bytes) -> bool:
    """Whether the marker that ends a JPEG comes after its first scan.

    A download broken off in a file of the full length ends in zeros, and the decoder takes these for gray pixels.
    """
    at = 2
    while jpeg[at : at + 1] == b"\xff" and jpeg[at + 1 : at + 2] != b"\xda":  # segments, each with its length
        filled = jpeg[at + 1 : at + 2] == b"\xff"
        at += 1 if filled else 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return jpeg.find(b"\xff\xd9", at) >= 0


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # a broken EXIF block does not spoil the picture
        return 1


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F" or (image.mode == "I" and image.format not in _SIXTEEN_BITS):
        raise ValueError(f"pixels of mode {image.mode!r} have no defined range: save the image with 8 or 16 bits")
    if image.mode.startswith("I"):
        image = image.convert("I").point(lambda value: value * (1 / 257) + 0.5).convert("L")
    if image.mode == "P":  # a palette may hold alpha, which only RGBA takes without complaint
        image = image.convert("RGBA")
    return image.convert("RGB")
