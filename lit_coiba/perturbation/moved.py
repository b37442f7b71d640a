"""Images with a little noise in the space that was asked for."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.perturbation.baselines import Space


def channel_std(model: Any, images: Tensor, asker: str) -> Tensor:
    """Standard deviation per channel ``(C, 1, 1)`` by which the model's input was normalized.

    Raises:
        InputError: Nobody knows it, or it does not fit.
    """
    preprocessing = getattr(model, "preprocessing", None)
    if preprocessing is None or len(preprocessing.std) != images.shape[1]:
        raise InputError(
            f"{asker} of pixels needs the normalization of the model's input, and this model does not say it: give a"
            " Backbone, or set space to input"
        )
    return images.new_tensor(preprocessing.std).view(-1, 1, 1)


def in_space(change: Tensor, space: Space, model: Any, images: Tensor) -> Tensor:
    """A change of images ``(B, C, H, W)``, told in `space`, as one of normalized model input."""
    return change if space == "input" else change / channel_std(model, images, "a change")
