"""Shapley values of the segments of an image, by regression.

Lundberg and Lee, "A Unified Approach to Interpreting Model Predictions", 2017 (arXiv 1705.07874).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lit_coiba.core.batched_evaluator import BatchedEvaluator, Chunk
from lit_coiba.core.errors import check_choice, check_count
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.images import Output
from lit_coiba.core.method import AttributionMethod, Card
from lit_coiba.core.network import Network
from lit_coiba.functional.coalitions import coalitions, shapley_values
from lit_coiba.perturbation.baselines import Baseline
from lit_coiba.perturbation.segments import Segments, explain_by_segments


class KernelSHAP(AttributionMethod):
    """How the score, less that of the baseline, is shared out fairly among the segments of the image.

    The Shapley value of a segment is what showing it adds to the score, on average over all orders in which segments
    can be shown; above zero speaks for the class, and the values of an image always sum to the score less that of the
    baseline. Maps have a value per cell ``(B, cells, cells)`` where segments are a grid; for superpixels they are at
    pixels ``(B, H, W)``, and the sum is over segments. Values are exact where all ``2^d - 2`` coalitions of d segments
    are evaluated; else an estimate that gets noisy where n is not several times d, and that below 2 d coalitions is
    pulled towards equal shares. ``extras["baseline_score"]`` ``(B,)`` is the score with nothing shown.

    Args:
        grid_size: Cells along a side of the grid; about ``grid_size ** 2`` superpixels for ``slic``.
        n_samples: Coalitions, at most, beside the empty and the full one (ours; the authors' package has 2 d + 2,048).
        segments: ``grid`` = square cells; ``slic`` = superpixels of similar colour (needs scikit-image). In
            Python `explain` takes others, as `regions`.
        baseline: What hidden segments show; zeros of model input, as in Captum.
        output: Explain the ``logit`` or the ``prob`` of the class.
        chunk: Model inputs at once.
        seed: Of the draws.

    Raises:
        InputError: A number outside its range.
    """

    card = Card("Lundberg and Lee, 2017 (arXiv 1705.07874)", "n_samples + 2 forwards (1,026)")

    def __init__(
        self,
        grid_size: int = 8,
        n_samples: int = 1024,
        segments: Segments = "grid",
        baseline: Baseline = "zero",
        output: Output = "logit",
        chunk: Chunk = "auto",
        seed: int = 0,
    ) -> None:
        check_count(grid_size=grid_size)
        check_count(2, n_samples=n_samples)
        self.grid_size = grid_size
        self.n_samples = n_samples
        self.segments = check_choice(segments, Segments, "segments")
        self.baseline = check_choice(baseline, Baseline, "baseline")
        self.output = check_choice(output, Output, "output")
        self.chunk = chunk
        self.seed = seed
        self._copies = BatchedEvaluator(chunk)

    def explain(
        self,
        model: Network,
        images: Tensor,
        targets: Tensor | int | None = None,
        regions: Tensor | None = None,
    ) -> Explanation:
        """Explain `images` ``(B, 3, H, W)`` for `targets` ``(B,)``, or one for all; None: the predicted class.

        Args:
            model: Any classifier.
            images: Normalised.
            targets: Classes.
            regions: Segments in place of those of the constructor: their numbers ``(H, W)``, or ``(B, H, W)``; maps
                are at pixels then.

        Raises:
            InputError: `regions` are not integers of the images' size; scikit-image is missing for ``slic``.
        """
        return explain_by_segments(self, model, images, targets, regions, self._copies, self._fit)

    def _fit(self, parts: int, scores: Callable[[Tensor], Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Shapley values ``(b, parts)`` and the baseline's score, for images with that many segments."""
        members, weights = coalitions(parts, self.n_samples, self.seed)
        ends = torch.tensor([0.0, 1.0], dtype=torch.float64).unsqueeze(-1).expand(2, parts)
        empty, full, *found = scores(torch.cat([ends, members]))
        some = torch.stack(found) if found else torch.zeros(0, len(full), dtype=torch.float64)
        return shapley_values(members, weights, some, empty, full).T, {"baseline_score": empty}
