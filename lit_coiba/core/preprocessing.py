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
            InputError: The pixels are not a tensor of floating-point numbers.
        """
        if not isinstance(pixels, Tensor) or not pixels.is_floating_point():
            given = pixels.dtype if isinstance(pixels, Tensor) else type(pixels).__name__
            raise InputError(
                f"pixels is {given}: give a floating-point tensor with values in [0, 1], such as bytes divided by 255"
            )
        mean, std = self._moments(pixels)
        return (pixels - mean) / std

    def denormalize(self, images: Tensor) -> Tensor:
        """Model input ``(..., 3, H, W)`` as pixels in [0, 1]."""
        mean, std = self._moments(images)
        return images * std + mean

    def _moments(self, like: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = (like.new_tensor(values).view(-1, 1, 1) for values in (self.mean, self.std))
        return mean, std
