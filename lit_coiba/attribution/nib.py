"""NIB: the narrowing information bottleneck, which has no noise: gradients along a path at one hidden layer.

Zhu, Jin, Zhang, Yang, Huang, Zhou and Chen, "Narrowing Information Bottleneck Theory for Multimodal Image-Text
Representations Interpretability", ICLR 2025 (arXiv 2502.14889); here for the score of a class, or of another target,
instead of the similarity of an image and a text.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lit_coiba.backbones.defaults import block_outputs
from lit_coiba.core.batched_evaluator import BatchedEvaluator, Chunk
from lit_coiba.core.errors import check_choice, check_count
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod, Card
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved, Score
from lit_coiba.functional import precise


class NIB(AttributionMethod):
    """Hidden activation times its mean gradient while it grows from zero to itself, summed over channels.

    It is integrated gradients at one layer, from zero, by the right Riemann sum; only the network above the layer is
    run. The map has the layer's grid, and prefix tokens (CLS, registers), which have no place on it, grow with it. With
    a linear network above the layer the map is activation times weight, whatever the steps. In the last block of a ViT
    it is zero at every patch: layer norm does not see how long a token is, so choose an earlier one.

    Args:
        layer: Layer on a grid, by its name in the model. None: for a ViT the output of the block at three quarters of
            the depth (the paper's layer 9 of 12), else the last one with at least 4 x 4 cells.
        steps: Points of the path; 10 is the paper's.
        relu: Whether to keep positive evidence only (ours; the paper keeps signs).
        output: Score that is differentiated: ``logit``, ``prob``, ``logprob``, or ``rest`` (logit + logprob).
        chunk: Number of points of all images at once; ``auto`` = as many as are fast, halved where memory runs out.
    """

    card = Card(
        "Zhu, Jin, Zhang, Yang, Huang, Zhou and Chen, Narrowing Information Bottleneck Theory, 2025 (arXiv 2502.14889)",
        "steps forwards and backwards above the layer (10)",
        ("gradients", "layer"),
    )

    def __init__(
        self,
        layer: str | None = None,
        steps: int = 10,
        relu: bool = False,
        output: Score = "logit",
        chunk: Chunk = "auto",
    ) -> None:
        check_count(steps=steps)
        self.layer = layer
        self.steps = steps
        self.relu = relu
        self.output = check_choice(output, Score, "output")
        self.chunk = chunk
        self._evaluator = BatchedEvaluator(chunk)

    def _explain(self, model: Network, images: Tensor, targets: Resolved) -> Explanation:
        split = model.split([self.layer or _default_layer(model)])
        grid, state = split.grids[0], split.lower(images)
        hidden = state.activation.detach()
        end = precise(hidden)
        shares = torch.arange(1, self.steps + 1, device=end.device, dtype=end.dtype) / self.steps

        def gradients(steps: slice, rows: slice) -> Tensor:
            """Sum over some points of the path of the gradient at the hidden layer, ``(r, ...)``."""
            scale = shares[steps].view(-1, *[1] * end.dim())
            points = (scale * end[rows]).flatten(0, 1).requires_grad_(True)
            out = split.upper(state.rows(rows).repeat(len(scale)), lambda _, __: points.to(hidden.dtype))
            scores = targets.take(rows).repeat(len(scale)).score(out)
            return torch.autograd.grad(scores.sum(), points)[0].unflatten(0, (-1, rows.stop - rows.start)).sum(0)

        mean = self._evaluator.accumulate(images, self.steps, gradients) / self.steps
        maps = grid.to_map(grid.over_channels(end * mean) * grid.channels)
        return Explanation(maps.clamp_min(0) if self.relu else maps, {}, grid.places)


def _default_layer(model: Network) -> str:
    """For a ViT the output of the block at three quarters of its depth, else the layer of class activation maps.

    Two blocks at least stay above it: a layer norm does not see how long a token is, so a path that makes tokens longer
    moves nothing in the last block, which reads the patches through its norm only.
    """
    blocks = block_outputs(model.candidate_layers())
    return blocks[max(0, min(3 * len(blocks) // 4 - 1, len(blocks) - 3))] if blocks else model.cam_layer()
