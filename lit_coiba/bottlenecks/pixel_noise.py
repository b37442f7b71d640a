"""The noise that InputIBA puts in place of pixels: N(0, 1) where pixels are normalized as the paper normalizes them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lit_coiba.core.network import Network

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels: what the paper normalizes by


class PixelNoise(NamedTuple):
    """Mean and standard deviation per color of noise in model input, ``(3, 1, 1)`` each."""

    mean: Tensor
    std: Tensor


def pixel_noise(model: Network, like: Tensor) -> PixelNoise:
    """What is N(0, 1) where ImageNet's mean and standard deviation normalize, for images as `model` takes them.

    Args:
        model: The model, whose preprocessing may normalize otherwise.
        like: A tensor with the dtype and the device of the result.
    """
    own, mean, std = (torch.tensor(v).to(like).view(3, 1, 1) for v in (model.preprocessing.mean, MEAN, STD))
    scale = torch.tensor(model.preprocessing.std).to(like).view(3, 1, 1)
    return PixelNoise((mean - own) / scale, std / scale)
