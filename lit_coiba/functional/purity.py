"""How much of a position's features one channel holds where it is strongest: the measure of EPIC."""

from __future__ import annotations

from math import log
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import linear

FLOOR = 1e-8  # of the norm that a value is divided by

Decay = Literal["linear", "exponential", "log"]


def channel_purity(maps: Tensor) -> Tensor:
    """Purity of every channel: its maximum over the norm of all channels at that position, in [-1, 1].

    EPIC (Borycki et al., 2025, arXiv 2505.12897), section 3. Of equal maxima the first counts.

    Args:
        maps: ``(B, D, h, w)``.

    Returns:
        ``(B, D)``.

    Example:
        >>> channel_purity(torch.tensor([[[[3.0, 0.0]], [[4.0, 2.0]]]]))
        tensor([[0.6000, 0.8000]])
    """
    flat = maps.flatten(2)
    values, places = flat.max(-1)
    return values / flat.norm(dim=1).gather(1, places).clamp_min(FLOOR)


def pair_purity(features: Tensor, rotation: Tensor, channels: Tensor) -> Tensor:
    """Purity of one channel for each image, without rotating all of the image.

    Args:
        features: ``(M, D, h, w)``.
        rotation: ``(D, D)``: the channels are ``rotation @ features`` at every position.
        channels: One for each image ``(M,)``.

    Returns:
        ``(M,)``: ``channel_purity`` of the rotated features, of that channel.
    """
    flat = features.flatten(2)
    places = torch.einsum("md,mdp->mp", rotation[channels], flat).argmax(1)
    pixels = flat.gather(2, places[:, None, None].expand(-1, flat.shape[1], 1)).squeeze(2)
    turned = linear(pixels, rotation)
    return turned.gather(1, channels[:, None]).squeeze(1) / turned.norm(dim=1).clamp_min(FLOOR)


def prototype_counts(first: int = 100, last: int = 5, steps: int = 10, decay: Decay = "linear") -> list[int]:
    """How many images a channel is trained on, in falling order: steps + 1 numbers, as EPIC's public code has them.

    Raises:
        ValueError: Another decay, or counts that do not fall.

    Example:
        >>> prototype_counts()
        [100, 90, 81, 71, 62, 52, 43, 33, 24, 14, 5]
    """
    if not first >= last >= 1 or steps < 1:
        raise ValueError(f"{first} images cannot become {last} in {steps} steps")
    if decay == "linear":
        return [int(max(last, first - (first - last) / steps * t)) for t in range(steps + 1)]
    if decay == "exponential":
        return [int(first * (last / first) ** (t / steps) + 1e-9) for t in range(steps + 1)]
    if decay == "log":
        shares = [log(1 + 0.1 * (steps - t)) / log(1 + 0.1 * steps) for t in range(steps + 1)]
        return [int(last + (first - last) * share) for share in shares]
    raise ValueError(f"there is no decay {decay}")
