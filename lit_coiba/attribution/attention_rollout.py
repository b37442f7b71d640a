"""Attention rollout: through all blocks back to the patches, by the attention weights alone.

Abnar and Zuidema, "Quantifying Attention Flow in Transformers", 2020 (arXiv 2005.00928), section 3.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod, Card
from lit_coiba.core.targets import Resolved
from lit_coiba.functional import precise
from lit_coiba.propagation.attention import flow, read_tokens, record_attention, token_grid

Heads = Literal["mean", "max", "min"]


class AttentionRollout(AttributionMethod):
    """How much of each patch reaches the CLS token, if attention weights were all that moves content.

    The product over the blocks of A~ = residual I + (1 - residual) A, with A the attention averaged over heads, whose
    rows sum to 1; the map is its CLS row. One value a patch, not negative; the map and the shares of CLS and registers,
    which are left out, sum to 1. **It is the same for every class**: a picture of where a model looks, not why it
    decides. Values and MLPs are ignored, so large weights on tokens that carry nothing show as hot patches, as in
    models without registers.

    Without a CLS token, with averaged patches or a head on the feature grid, it is the mean over the rows of patches.

    Args:
        residual: Share of the skip connection in a block, 0 to 1; 0.5 in the paper.
        heads: Reduction over the heads: ``mean`` (the paper), or ``max`` or ``min``, with rows rescaled to a sum of 1.

    Raises:
        InputError: A value that is not among its choices or out of range.
    """

    card = Card(
        "Abnar and Zuidema, Quantifying Attention Flow in Transformers, 2020 (arXiv 2005.00928)",
        "1 forward",
        ("attention",),
        ("ViT",),
        class_dependent=False,
    )
    advice = "take AttnLRP if it is a transformer, or GradCAM or RISE"

    def __init__(self, residual: float = 0.5, heads: Heads = "mean") -> None:
        if not 0 <= residual < 1:
            raise InputError(f"residual is {residual}: give the share of the skip connection, 0 or more and below 1")
        self.residual = residual
        self.heads = check_choice(heads, Heads, "heads")

    @torch.no_grad()
    def _explain(self, model: Any, images: Tensor, targets: Resolved) -> Explanation:
        """As `AttributionMethod` says.

        Raises:
            InputError: The model is no transformer on one sequence of tokens.
        """
        grid = token_grid(model)
        with record_attention(model) as weights:
            model(images)
        steps = [mixing(weight, self.residual, self.heads) for weight in weights]
        return Explanation(grid.to_map(flow(read_tokens(model, grid), steps)), {}, grid.places)


def mixing(weights: Tensor, residual: float = 0.5, heads: Heads = "mean") -> Tensor:
    """A~ of one block, ``(B, heads, T, T)`` -> ``(B, T, T)``; each row sums to 1."""
    every = precise(weights)
    joined = every.mean(1) if heads == "mean" else every.amax(1) if heads == "max" else every.amin(1)
    total, own = joined.sum(-1, keepdim=True), torch.eye(joined.shape[-1]).to(joined)
    joined = torch.where(total > 0, joined / total, own)  # also what low precision rounds away
    return (1 - residual) * joined + residual * own  # heads that share no token, of `min`, mix nothing
