"""From pixels to model input and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from torch import Tensor

from lit_coiba.core.errors import InputError, check_choice

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos", "hamming", "box"]
CropMode = Literal["center", "squash", "border"]

MAX_PIXELS = 2 * 89_478_485  # of a resized picture: the size at which Pillow refuses a file


@dataclass(frozen=True)
class Preprocessing:
    """How an image file becomes model input: timm's evaluation recipe as plain values.

    The picture is resized to ``floor(size / crop_pct)`` as `crop_mode` says, the center is cropped to `size`, and
    pixels in [0, 1] are normalized with `mean` and `std` per channel.

    Args:
        size: Height and width of the input in pixels.
        crop_pct: Share of the resized picture's side that the crop keeps.
        interpolation: Filter of the resize.
        mean: Mean of the normalization, per channel.
        std: Standard deviation of the normalization, per channel, above 0.
        crop_mode: ``center`` = the shorter side is resized, and the longer one cropped; ``squash`` = both sides are
            resized, whatever the proportions; ``border`` = the longer side is resized, and the shorter one padded with
            the mean color.

    Raises:
        InputError: A value is out of its range.
    """

    size: tuple[int, int] = (224, 224)
    crop_pct: float = 0.875
    interpolation: Interpolation = "bicubic"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    crop_mode: CropMode = "center"

    def __post_init__(self) -> None:
        if len(self.size) != 2 or min(self.size) < 1:
            raise InputError(f"size is {tuple(self.size)}: give height and width in pixels, 1 or more")
        _check_crop(self.crop_pct, self.size)
        check_choice(self.interpolation, Interpolation, "interpolation")
        check_choice(self.crop_mode, CropMode, "crop_mode")
        _check_moment("mean", self.mean)
        _check_moment("std", self.std)
        if min(self.std) <= 0:
            raise InputError(f"std is {tuple(self.std)}: give numbers above 0, one for each of the 3 channels")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.identity().items())})"

    def identity(self) -> dict[str, Any]:
        """The recipe as plain values; the usual crop mode is left out, as in files from before there were others."""
        values = asdict(self)
        if self.crop_mode == "center":
            del values["crop_mode"]
        return values

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


def _check_crop(crop_pct: float, size: Sequence[int]) -> None:
    if not (crop_pct > 0 and math.isfinite(crop_pct)):
        raise InputError(f"crop_pct is {crop_pct}: give a share above 0, such as 0.875")
    height, width = (side / crop_pct for side in size)
    if min(height, width) < 1 or height * width > MAX_PIXELS:
        raise InputError(
            f"crop_pct is {crop_pct}, by which pictures would be resized to {height:.3g} x {width:.3g} pixels before "
            f"{size[0]} x {size[1]} are cropped: give a share from about 0.1 to 1"
        )


def _check_moment(name: str, values: Sequence[float]) -> None:
    if len(values) != 3:
        raise InputError(f"{name} has {len(values)} values: give one for each of the 3 channels")
    if not all(map(math.isfinite, values)):
        raise InputError(f"{name} is {tuple(values)}: give finite numbers, one for each of the 3 channels")


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
