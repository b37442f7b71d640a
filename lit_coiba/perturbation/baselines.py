"""What stands for "nothing there": images that explanations compare with, and that metrics exchange pixels with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.functional import blur_images, noise, uniform

Baseline = Literal["zero", "black", "mean", "blur", "noise", "uniform", "opposite", "minimum"]
Space = Literal["input", "pixels"]
Window = Literal["gaussian", "rise"]

DEFINED_BY_PIXELS = ("black", "noise", "uniform", "opposite")  # made in [0, 1] whatever the space
NOISE = 0.2  # standard deviation of `noise`, as a share of the range of a pixel
BLUR = 1 / 16  # standard deviation of `blur`, as a share of the shorter side, where nothing else is asked for


@dataclass(frozen=True)
class BaselineImages:
    """Makes the baseline of each image, as model input.

    Args:
        kind: ``zero`` = zeros, which are the mean color of the training data in model input; ``black``; ``mean`` = the
            image's own mean color; ``blur``; ``noise`` = the image with Gaussian noise, in the range of pixels;
            ``uniform`` = random pixels; ``opposite`` = black or white, whichever is farther, for every color value;
            ``minimum`` = the image's smallest value; or a number.
        space: Space in which ``zero``, ``mean``, ``blur``, ``minimum`` and numbers are made: normalized model
            ``input``, or ``pixels`` in [0, 1].
        blur: Window of ``blur``; see `functional.blur_images`.
        blur_size: Size of the window in pixels, odd; None = two standard deviations to each side.
        blur_sigma: Standard deviation in pixels; None = a sixteenth of the shorter side.
        mean: Mean per channel of the model's normalization; None = `model.preprocessing` says it.
        std: Standard deviation per channel of the model's normalization; None likewise.
        seed: Seed of the random kinds; all images share the draws.

    Raises:
        InputError: A value that is not among its choices or out of range.
    """

    kind: Baseline | float
    space: Space = "input"
    blur: Window = "gaussian"
    blur_size: int | None = None
    blur_sigma: float | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.kind, str):
            check_choice(self.kind, Baseline, "baseline", " or a number")
        check_choice(self.space, Space, "space")
        check_choice(self.blur, Window, "blur")
        if self.blur_size is not None and (self.blur_size < 1 or self.blur_size % 2 == 0):
            raise InputError(f"blur_size is {self.blur_size}: give an odd number of pixels")
        if self.blur_sigma is not None and not self.blur_sigma > 0:
            raise InputError(f"blur_sigma is {self.blur_sigma}: give a positive number of pixels")
        if (self.mean is None) != (self.std is None):
            raise InputError("mean and std belong together: give both or neither")

    def of(self, images: Tensor, model: Any) -> Tensor:
        """Baselines ``(B, C, H, W)`` of normalized images ``(B, C, H, W)``.

        Raises:
            InputError: The images are too small for the blur, or the normalization is not known or does not fit.
        """
        if self.space == "input" and self.kind not in DEFINED_BY_PIXELS:
            return self._of_values(images)
        mean, std = (images.new_tensor(values).view(-1, 1, 1) for values in self.normalization(images, model))
        pixels = images * std + mean
        made = self._of_pixels(pixels) if self.kind in DEFINED_BY_PIXELS else self._of_values(pixels)
        return (made - mean) / std

    def check(self, size: tuple[int, ...]) -> None:
        """Refuse images of `size`, height and width in pixels, that are too small for the blur.

        Raises:
            InputError: They are.
        """
        if self.kind == "blur":
            self._window(size)

    def _of_values(self, values: Tensor) -> Tensor:
        """Baselines of images in the space that was asked for."""
        if self.kind == "blur":
            return blur_images(values, self.blur, *self._window(values.shape[-2:]))
        if self.kind == "mean":
            return values.mean((-2, -1), keepdim=True).expand_as(values).contiguous()
        if self.kind == "minimum":
            return values.amin((1, 2, 3), keepdim=True).expand_as(values).contiguous()
        return torch.full_like(values, 0.0 if self.kind == "zero" else float(self.kind))

    def _of_pixels(self, pixels: Tensor) -> Tensor:
        """Baselines in [0, 1]."""
        if self.kind == "black":
            return torch.zeros_like(pixels)
        if self.kind == "opposite":
            return (pixels < 0.5).to(pixels)
        normal = noise(self.seed, 0, 0, pixels.shape[1:]).to(pixels)
        return (pixels + NOISE * normal).clamp(0, 1) if self.kind == "noise" else uniform(normal).expand_as(pixels)

    def _window(self, size: tuple[int, ...]) -> tuple[int, float]:
        """Size and standard deviation of the blur, in pixels."""
        sigma = max(1.0, BLUR * min(size)) if self.blur_sigma is None else self.blur_sigma
        width = 2 * round(2 * sigma) + 1 if self.blur_size is None else self.blur_size
        if self.blur == "gaussian" and width // 2 >= min(size):
            raise InputError(f"blur_size is {width}: images of {min(size)} pixels need less")
        return width, sigma

    def normalization(self, images: Tensor, model: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel, by which pixels in [0, 1] became model input.

        Raises:
            InputError: They are not known, or do not fit the images.
        """
        preprocessing = getattr(model, "preprocessing", None)
        if self.mean is not None and self.std is not None:
            found = self.mean, self.std
        elif preprocessing is not None:
            found = preprocessing.mean, preprocessing.std
        else:
            raise InputError("a baseline of pixels needs the normalization of the model's input: give mean and std")
        if not len(found[0]) == len(found[1]) == images.shape[1]:
            raise InputError(f"mean {found[0]} and std {found[1]}: give one of each for {images.shape[1]} channels")
        return found


def baseline_images(kind: Baseline | float, images: Tensor, model: Any, seed: int = 0) -> Tensor:
    """Baselines ``(B, C, H, W)`` of normalized images ``(B, C, H, W)``, with the settings that methods use.

    Args:
        kind: Name of a baseline, or a number of model input; see `BaselineImages`.
        images: The images that are explained.
        model: The model, whose `preprocessing` defines black.
        seed: Seed of the random kinds.

    Raises:
        InputError: No such kind.
    """
    return BaselineImages(kind, seed=seed).of(images, model)
