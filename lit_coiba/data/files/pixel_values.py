"""From what a decoder gives to 8-bit RGB: transparency, palettes, more than 8 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.io import ImageReadMode, decode_image

FULL = 65535  # largest value of 16 bits
_SIXTEEN_BITS = ("PNG", "PPM", "JPEG2000")  # whose 32-bit mode "I" holds 0 ... 65535


def to_rgb(image: Image.Image, maximum: float | None = None) -> Image.Image:
    """A decoded picture as 8-bit RGB, on white where it is transparent.

    Args:
        image: The picture, of any mode.
        maximum: Value of white in a picture of more than 8 bits; None = the largest of 16 bits.

    Raises:
        ValueError: Its values have no defined range, or exceed `maximum`; one clause.
    """
    if deep(image):
        key = image.info.get("transparency")
        values = np.asarray(image)
        image = Image.fromarray(_scaled(values, image, maximum))
        if isinstance(key, int):  # the gray level that stands for transparent
            image.paste(255, mask=Image.fromarray((values == key) * np.uint8(255)))
    return _on_white(image)


def deep(image: Image.Image) -> bool:
    """Whether a picture has one channel of more than 8 bits."""
    return image.mode == "F" or image.mode.startswith("I")


def is_deep_color(image: Image.Image) -> bool:
    """Whether a picture that is not yet decoded has several channels of 16 bits, of which Pillow gives the upper 8."""
    tiles: list[Any] = getattr(image, "tile", [])
    return not deep(image) and any(";16" in str(tile[3]) for tile in tiles)


def deep_color_to_rgb(image: Image.Image, content: bytes, maximum: float) -> Image.Image:
    """The same as `to_rgb` for several channels of 16 bits.

    Args:
        image: The picture.
        content: Its file.
        maximum: Value of white.

    Raises:
        ValueError: It is no PNG, or its values exceed `maximum`.
    """
    if image.format != "PNG":
        raise ValueError(f"of a {image.format} in color with 16 bits, only 8 are read: save it as PNG to give maximum")
    encoded = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    values = decode_image(encoded, ImageReadMode.UNCHANGED).permute(1, 2, 0).numpy()
    colors = values.shape[2] - 1 if values.shape[2] in (2, 4) else values.shape[2]
    scaled = [_scaled(values[..., :colors], image, maximum), (values[..., colors:] // 257).astype(np.uint8)]
    return _on_white(Image.fromarray(np.concatenate(scaled, axis=2)))


def _scaled(values: NDArray[Any], image: Image.Image, maximum: float | None) -> NDArray[np.uint8]:
    if maximum is None:
        if image.mode == "F" or (image.mode == "I" and image.format not in _SIXTEEN_BITS):
            raise ValueError(
                f"pixels of mode {image.mode!r} have no defined range: save the image with 8 or 16 bits, or give the"
                " value of white as maximum"
            )
        return (values * (1 / 257) + 0.5).astype(np.uint8)
    least, most = float(values.min()), float(values.max())
    if not (least >= 0 and most <= maximum):
        raise ValueError(f"its values are {least:g} to {most:g}, and maximum is {maximum:g}: raise it")
    return (values * (255 / maximum) + 0.5).astype(np.uint8)


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode == "P" or "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            white = Image.new("RGB", image.size, "white")
            white.paste(image, mask=image.getchannel("A"))
            return white
    return image.convert("RGB")
