"""From pixels to model input and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from lit_coiba.core.errors import InputError


@dataclass(frozen=True)
class Preprocessing:
    """How an image file becomes model input: timm's evaluation recipe as plain values.

    The shorter side is resized to ``floor(size / crop_pct)``, the center is cropped to `size`, and pixels in [0, 1] are
    normalized with `mean` and `std` per channel.
    """

    size: tuple[int, int] = (224, 224)  # height, width in pixels
    crop_pct: float = 0.875
    interpolation: Literal["nearest", "bilinear", "bicubic"] = "bicubic"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def normalize(self, pixels: Tensor) -> Tensor:
        """Pixels in [0, 1], ``(..., 3, H, W)``, as model input.

        Raises:
            InputError: The pixels are not a tensor ``(..., 3, H, W)`` of floating-point numbers.
        """
        _check(pixels, "pixels", "with values in [0, 1], such as bytes divided by 255; load_images reads pictures")
        mean, std = self._moments(pixels)
        return (pixels - mean) / std

    def denormalize(self, images: Tensor) -> Tensor:
        """Model input ``(..., 3, H, W)`` as pixels in [0, 1].

        Raises:
            InputError: The images are not a tensor ``(..., 3, H, W)`` of floating-point numbers.
        """
        _check(images, "images", "of model input")
        mean, std = self._moments(images)
        return images * std + mean

    def _moments(self, like: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = (like.new_tensor(values).view(-1, 1, 1) for values in (self.mean, self.std))
        return mean, std


def _check(images: object, name: str, what: str) -> None:
    """Refuse what is not a tensor of three channels."""
    if not isinstance(images, Tensor):
        given = f"of type {type(images).__name__}"
    elif not images.is_floating_point():
        given = str(images.dtype)
    elif images.dim() < 3 or images.shape[-3] != 3:
        given = f"of shape {tuple(images.shape)}"
    else:
        return
    raise InputError(f"{name} is {given}: give a floating-point tensor (..., 3, H, W) {what}")
