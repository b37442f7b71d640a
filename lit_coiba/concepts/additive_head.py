"""The linear classifier above a layer, found by asking: the network above the layer, evaluated at single channels."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lit_coiba.core.batched_evaluator import BatchedEvaluator
from lit_coiba.core.network import Network
from lit_coiba.core.targets import select_output

_TOLERANCE = 1e-4  # of the largest difference that a channel makes


class AdditiveHead(NamedTuple):
    """Logits as ``bias + mean over places of activation @ weights``."""

    weights: Tensor  # (c, K) float32 on the CPU
    bias: Tensor  # (K,)


def additive_head(model: Network, layer: str, images: Tensor) -> AdditiveHead | None:
    """The classifier above a layer where it is global average pooling and a linear map; None where it is not.

    Args:
        model: The model, frozen.
        layer: The layer, on a grid.
        images: Some images ``(B, 3, H, W)``, on whose activations it is tried.
    """
    path = model.split([layer])
    grid, evaluator = path.grids[0], BatchedEvaluator()
    if grid.num_prefix_tokens:  # a classifier that reads CLS is not one of places alone
        return None
    state = path.lower(images)

    def logits(spatial: Tensor) -> Tensor:
        return select_output(path.upper(one.repeat(len(spatial)), lambda _, like: grid.with_spatial(like, spatial)))

    one = state.rows(slice(0, 1))
    with torch.no_grad():
        own = grid.to_spatial(state.activation)
        measured = torch.cat([logits(part) for part in own.split(1)]).float()
        basis = torch.eye(grid.channels, device=own.device, dtype=own.dtype)[:, :, None, None]

        def some(copies: slice, rows: slice) -> Tensor:
            return logits(basis[copies].expand(-1, -1, grid.height, grid.width))[:, None]

        bias = logits(torch.zeros_like(own[:1]))[0].float()
        weights = evaluator.gather(one.stream, grid.channels, some)[:, 0].float() - bias
    expected = own.float().mean((2, 3)) @ weights + bias
    size = (measured - bias).abs().max().clamp_min(torch.finfo(torch.float32).tiny)
    if not (expected - measured).abs().max() <= _TOLERANCE * size:
        return None
    return AdditiveHead(weights.cpu(), bias.cpu())
