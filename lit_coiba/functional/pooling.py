"""Pooling of maps over space that keeps evidence for apart from evidence against.

The signed ones are P(relu(J)) - P(relu(-J)) for a pooling P of non-negative maps with P(0) = 0, hence odd: J -> -J
gives v -> -v, and the order of the positions is of no consequence. Maps ``(B, D, h, w)`` become values ``(B, D)``, in
float32 where the maps are narrower.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lit_coiba.functional.precise import precise


def signed_max(maps: Tensor) -> Tensor:
    """Largest positive value minus the size of the most negative one, each 0 if there is none; ``(B, D)``.

    P = max: mx_pool of InfoDisent (arXiv 2409.10329). At most two values of a map count, and only they get gradient;
    equal ones share it.

    Example:
        >>> signed_max(torch.tensor([[[[3.0, -1.0, 2.0]], [[-4.0, -1.0, -2.0]]]]))
        tensor([[ 2., -4.]])
    """
    flat = maps.flatten(2)
    positive, negative = flat.amax(-1), flat.amin(-1)
    return precise(positive).relu() - precise(-negative).relu()


def signed_gumbel(maps: Tensor, tau: float, noise: Tensor | None = None, hard: bool = True) -> Tensor:
    """Gumbel-softmax estimator of `signed_max`, one draw for each sign; ``(B, D)``.

    P(r) = sum_p g_p r_p with g = softmax(r / tau + noise) over the positions. The noise is added *after* the division
    by tau: were it divided too, a hard draw would not depend on tau at all. As tau falls to 0 the draw becomes the
    maximum. InfoDisent trains with such an estimator; these logits, and a draw for each sign, are a reconstruction.

    Args:
        maps: ``(B, D, h, w)``.
        tau: Temperature, in units of the maps.
        noise: Gumbel noise ``(2, B, D, h, w)``, for the positive and the negative side; None = drawn from the global
            generator of the maps' device, as dropout is.
        hard: Pool one drawn position, with the gradient of the soft weights (straight-through), else the soft weights.

    Example:
        >>> maps, noise = torch.tensor([[[[3.0, -1.0, 2.0]]]]), torch.zeros(2, 1, 1, 1, 3)
        >>> signed_gumbel(maps, 1.0, noise), signed_gumbel(maps, 1.0, noise, hard=False)
        (tensor([[2.]]), tensor([[2.0590]]))
    """
    flat = precise(maps.flatten(2))
    sides = torch.stack([flat, -flat]).relu()
    noise = _gumbel(sides) if noise is None else noise.flatten(3).to(sides)
    scores = sides / tau + noise
    weights = scores.softmax(-1)
    if hard:
        drawn = torch.zeros_like(weights).scatter_(-1, scores.argmax(-1, keepdim=True), 1.0)
        weights = drawn + (weights - weights.detach())
    positive, negative = (weights * sides).sum(-1)
    return positive - negative


def signed_top_k(maps: Tensor, k: int) -> Tensor:
    """P(r) = mean of the k largest entries of r, zeros included, or of all where there are fewer; ``(B, D)``.

    k = 1 is `signed_max`, all positions are `spatial_average`. For ablations; not in the paper.

    Example:
        >>> signed_top_k(torch.tensor([[[[3.0, -1.0, 2.0]]]]), 2)
        tensor([[2.]])
    """
    flat = maps.flatten(2)
    k = min(k, flat.shape[-1])
    positive, negative = flat.topk(k).values, flat.topk(k, largest=False).values
    return precise(positive).relu().mean(-1) - precise(-negative).relu().mean(-1)


def signed_log_sum_exp(maps: Tensor, tau: float) -> Tensor:
    """P(r) = tau * ln(mean_p exp(r_p / tau)): the maximum as tau falls to 0, the mean as it grows; ``(B, D)``.

    For ablations; not in the paper.

    Example:
        >>> maps = torch.tensor([[[[3.0, -1.0, 2.0]]]])
        >>> signed_log_sum_exp(maps, 1e-3), signed_log_sum_exp(maps, 1e3)
        (tensor([[2.0000]]), tensor([[1.3340]]))
    """
    flat = precise(maps.flatten(2))
    positive, negative = (torch.stack([flat, -flat]).relu() / tau).logsumexp(-1)
    return tau * (positive - negative)  # the means' ln of the number of positions cancels


def spatial_average(maps: Tensor) -> Tensor:
    """Mean over the positions, ``(B, D)``: P = mean.

    Example:
        >>> spatial_average(torch.tensor([[[[3.0, -1.0, 4.0]]]]))
        tensor([[2.]])
    """
    return precise(maps).mean((-2, -1))


def _gumbel(like: Tensor) -> Tensor:
    """Standard Gumbel noise; from uniform numbers, which CPUs draw several times faster than exponential ones."""
    uniform = torch.rand_like(like).clamp_min_(torch.finfo(like.dtype).tiny)
    return uniform.log_().neg_().log_().neg_()
