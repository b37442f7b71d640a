"""What the pixels of an image are exchanged with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, full_like

from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.functional import blur_images

Kind = Literal["zeros", "blur", "mean", "minimum"]
Space = Literal["input", "pixels"]
Window = Literal["gaussian", "rise"]


@dataclass(frozen=True)
class BaselineImages:
    """Makes the baseline of each image, as model input.

    Raises:
        InputError: A value that is not among its choices or out of range.
    """

    kind: Kind | float  # zeros, the image blurred, its mean colour, its smallest value, or a number
    space: Space  # where it is made: normalised model input, or pixels in [0, 1] that are then normalised
    blur: Window
    blur_size: int  # pixels, odd
    blur_sigma: float  # pixels
    mean: tuple[float, ...] | None  # of the normalisation, per channel; None = the model's `preprocessing`
    std: tuple[float, ...] | None

    def __post_init__(self) -> None:
        if isinstance(self.kind, str):
            check_choice(self.kind, Kind, "baseline", " or a number")
        check_choice(self.space, Space, "space")
        check_choice(self.blur, Window, "blur")
        if self.blur_size < 1 or self.blur_size % 2 == 0:
            raise InputError(f"blur_size is {self.blur_size}: give an odd number of pixels")
        if not self.blur_sigma > 0:
            raise InputError(f"blur_sigma is {self.blur_sigma}: give a positive number of pixels")
        if (self.mean is None) != (self.std is None):
            raise InputError("mean and std belong together: give both or neither")

    def of(self, images: Tensor, model: Any) -> Tensor:
        """Baselines ``(B, C, H, W)`` of normalised images ``(B, C, H, W)``.

        Raises:
            InputError: The images are too small for the blur, or the normalisation is not known or does not fit.
        """
        if self.space == "input":
            return self._made(images)
        mean, std = (images.new_tensor(values).view(-1, 1, 1) for values in self._normalisation(images, model))
        return (self._made(images * std + mean) - mean) / std

    def _made(self, images: Tensor) -> Tensor:
        if self.kind == "blur":
            if self.blur == "gaussian" and self.blur_size // 2 >= min(images.shape[-2:]):
                raise InputError(f"blur_size is {self.blur_size}: images of {min(images.shape[-2:])} pixels need less")
            return blur_images(images, self.blur, self.blur_size, self.blur_sigma)
        if self.kind == "mean":
            return images.mean((-2, -1), keepdim=True).expand_as(images)
        if self.kind == "minimum":
            return images.amin((1, 2, 3), keepdim=True).expand_as(images)
        return full_like(images, 0.0 if self.kind == "zeros" else float(self.kind))

    def _normalisation(self, images: Tensor, model: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
        preprocessing = getattr(model, "preprocessing", None)
        if self.mean is not None and self.std is not None:
            found = self.mean, self.std
        elif preprocessing is not None:
            found = preprocessing.mean, preprocessing.std
        else:
            raise InputError("a baseline of pixels needs the normalisation of the model's input: give mean and std")
        if not len(found[0]) == len(found[1]) == images.shape[1]:
            raise InputError(f"mean {found[0]} and std {found[1]}: give one of each for {images.shape[1]} channels")
        return found
