"""Shapley values of the segments of an image, by regression.

Lundberg and Lee, "A Unified Approach to Interpreting Model Predictions", 2017 (arXiv 1705.07874).
"""

from __future__ import annotations

import torch
from torch import Tensor

from lit_coiba.attribution.segment_method import Scores, SegmentMethod
from lit_coiba.core.batched_evaluator import Chunk
from lit_coiba.core.method import Card
from lit_coiba.core.targets import Score
from lit_coiba.functional.coalitions import coalitions, shapley_values
from lit_coiba.perturbation.hiding import MaskBaseline
from lit_coiba.perturbation.segments import Segments


class KernelSHAP(SegmentMethod):
    """How the score, less that of the baseline, is shared out fairly among the segments of the image.

    The Shapley value of a segment is what showing it adds to the score, on average over all orders in which segments
    can be shown; above zero speaks for the class, and the values of an image always sum to the score less that of the
    baseline. Maps have a value per cell ``(B, grid_size, grid_size)`` where segments are a grid; for superpixels they
    are at pixels ``(B, H, W)``, and the sum is over segments. Values are exact where all ``2^d - 2`` coalitions of d
    segments are evaluated; else an estimate that gets noisy where n is not several times d, and that below 2 d
    coalitions is pulled towards equal shares. ``extras["baseline_score"]`` ``(B,)`` is the score with nothing shown.

    Args:
        grid_size: Number of cells along a side of the grid; about ``grid_size ** 2`` superpixels for ``slic``.
        n_samples: Largest number of coalitions, beside the empty and the full one (ours; 2 d + 2,048 in the authors'
            package).
        segments: ``grid`` = square cells; ``slic`` = superpixels of similar color (needs scikit-image). In Python,
            `explain_regions` takes your own regions.
        baseline: Baseline that replaces hidden segments; zeros of model input, as in Captum; ``tokens`` = of a ViT the
            patches are left out, where segments are of whole ones and the model has a score without any.
        output: Score of a class: ``logit``, ``prob``, ``logprob`` or ``rest`` (logit + logprob).
        chunk: Number of model inputs at once.
        seed: Seed of the random draws.

    Raises:
        InputError: A number outside its range.
    """

    card = Card("Lundberg and Lee, 2017 (arXiv 1705.07874)", "n_samples + 2 forwards (1,026)")

    def __init__(
        self,
        grid_size: int = 8,
        n_samples: int = 1024,
        segments: Segments = "grid",
        baseline: MaskBaseline = "zero",
        output: Score = "logit",
        chunk: Chunk = "auto",
        seed: int = 0,
    ) -> None:
        super().__init__(grid_size, n_samples, segments, baseline, output, chunk, seed)

    def fit(self, parts: int, scores: Scores) -> tuple[Tensor, dict[str, Tensor]]:
        """Shapley values ``(b, parts)`` and the baseline's score, for images with that many segments."""
        members, weights = coalitions(parts, self.n_samples, self.seed)
        ends = torch.tensor([0.0, 1.0], dtype=torch.float64).unsqueeze(-1).expand(2, parts)
        empty, full, *found = scores(torch.cat([ends, members]))
        some = torch.stack(found) if found else torch.zeros(0, len(full), dtype=torch.float64)
        return shapley_values(members, weights, some, empty, full).T, {"baseline_score": empty}
