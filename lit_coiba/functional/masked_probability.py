"""What the probability of a class does when the image is multiplied by its map: drop, increase and gain, in percent."""

import torch
from torch import Tensor


def probability_drop(clean: Tensor, masked: Tensor) -> Tensor:
    """Share of the probability that is lost, ``100 max(0, y - o) / y``; ``(B,)``, ``(B,)`` -> ``(B,)``; NaN if y is 0.

    Chattopadhay et al., Grad-CAM++, 2018 (arXiv 1710.11063), section 4.1.

    Example:
        >>> probability_drop(torch.tensor([0.8, 0.5]), torch.tensor([0.6, 0.75]))
        tensor([25.0000,  0.0000])
    """
    return 100 * (clean - masked).clamp_min(0) / clean


def probability_increase(clean: Tensor, masked: Tensor) -> Tensor:
    """100 where the probability rises, else 0; ``(B,)``, ``(B,)`` -> ``(B,)``; NaN where one of them is.

    Chattopadhay et al., Grad-CAM++, 2018 (arXiv 1710.11063), section 4.1.

    Example:
        >>> probability_increase(torch.tensor([0.8, 0.5]), torch.tensor([0.6, 0.75]))
        tensor([  0., 100.])
    """
    return torch.where(clean.isnan() | masked.isnan(), torch.nan, 100 * (masked > clean).to(clean.dtype))


def probability_gain(clean_rest: Tensor, masked_rest: Tensor) -> Tensor:
    """Share of what is missing to 1 that is won, ``100 max(0, o - y) / (1 - y)``; ``(B,)`` twice -> ``(B,)``.

    Zhang et al., Opti-CAM, 2023 (arXiv 2301.07002), equation 15. NaN where nothing is missing.

    Args:
        clean_rest: 1 - y, the probability of all other classes, which is exact where y rounds to 1.
        masked_rest: 1 - o.

    Example:
        >>> probability_gain(torch.tensor([0.2, 0.5]), torch.tensor([0.4, 0.25]))
        tensor([ 0., 50.])
    """
    return 100 * (clean_rest - masked_rest).clamp_min(0) / clean_rest
