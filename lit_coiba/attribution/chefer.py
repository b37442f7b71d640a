"""Transformer relevance by Chefer, Gur and Wolf: attention rollout, each weight counted by its gradient.

"Generic Attention-model Explainability for Interpreting Bi-Modal and Encoder-Decoder Transformers", 2021 (arXiv
2103.15679), equations 5 and 6 for self-attention.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_coiba.core.errors import check_choice
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod, Card
from lit_coiba.core.targets import Resolved, Score
from lit_coiba.functional import precise
from lit_coiba.propagation.attention import read_tokens, record_attention, token_grid


class Chefer(AttributionMethod):
    """Relevance of each patch for the class: attention weights times their positive gradients, led back block by block.

    Abar = mean over heads of the positive part of A * dF/dA; R <- R + Abar R from the first block to the last, from
    R = I; the map is the CLS row of R. One value a patch, not negative: evidence against a class does not show. Its
    scale has no unit. Only attention is followed: what MLPs and values do shows through gradients alone.

    This is the generic rule of ICCV 2021, not that of CVPR 2021 (arXiv 2012.09838), which takes LRP's relevance of the
    weights for A. Without a CLS token, with averaged patches or a head on the feature grid, the map is the mean over
    the rows of patches, without the identity that R begins with: the same share of every patch, beside which small
    gradients would be rounding.

    Args:
        output: Score of a class: ``logit`` (the paper), ``prob``, ``logprob`` or ``rest`` (logit + logprob).

    Raises:
        InputError: No such output.
    """

    card = Card(
        "Chefer, Gur and Wolf, Generic Attention-model Explainability, 2021 (arXiv 2103.15679)",
        "1 forward, 1 backward",
        ("attention", "gradients"),
        ("ViT",),
    )
    advice = "take AttnLRP if it is a transformer, or GradCAM or RISE"

    def __init__(self, output: Score = "logit") -> None:
        self.output: Score = check_choice(output, Score, "output")

    def _explain(self, model: Any, images: Tensor, targets: Resolved) -> Explanation:
        """As `AttributionMethod` says.

        Raises:
            InputError: The model is no transformer on one sequence of tokens.
        """
        grid = token_grid(model)
        with record_attention(model) as weights:
            out = model(images.requires_grad_())  # so that there is a graph: the weights are frozen
        gradients = torch.autograd.grad(targets.score(out).sum(), weights)
        steps = [_relevance(weight.detach(), gradient) for weight, gradient in zip(weights, gradients)]
        return Explanation(grid.to_map(_gained(read_tokens(model, grid).to(steps[-1]), steps)), {}, grid.places)


def _relevance(weights: Tensor, gradients: Tensor) -> Tensor:
    """Abar of one block, from ``(B, heads, T, T)`` each to ``(B, T, T)``."""
    return (precise(weights) * precise(gradients)).clamp_min(0).mean(1)


def _gained(start: Tensor, steps: list[Tensor]) -> Tensor:
    """``start (R - I)`` for R the product of ``I + step`` over the blocks, ``(T,)`` and ``(B, T, T)`` -> ``(B, T)``."""
    gained = torch.zeros_like(steps[0][:, 0])
    for step in reversed(steps):
        gained = gained + ((start + gained).unsqueeze(2) * step).sum(1)
    return gained
