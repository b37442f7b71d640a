"""Random masks, weighted by the scores under them.

Petsiuk, Das and Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models", 2018 (arXiv 1806.07421).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from lit_coiba.core.batched_evaluator import BatchedEvaluator, Chunk
from lit_coiba.core.errors import InputError, check_choice, check_count
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod, Card
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved, Score
from lit_coiba.functional import fp64_where_possible, working_dtype
from lit_coiba.functional.random_masks import random_cells, shifted_masks
from lit_coiba.perturbation.hiding import MaskBaseline, check_grid, checked_baseline, hiding, mask_scores
from lit_coiba.perturbation.masking import cell_masks

Masks = Literal["smooth", "nearest"]
Normalization = Literal["expected", "coverage"]

PIXELS = 2**22  # of masks that are added up at once, 32 MB in fp64


class RISE(AttributionMethod):
    """Mean score of the masked copies that show a pixel; maps at pixel resolution, of ``nearest`` masks one per cell.

    Masks are random cells, enlarged smoothly and shifted; all images share them. Every pixel carries the mean score
    plus what showing it adds, so a map has a large constant part and only its differences mean something: those of a
    pixel outside the object are not zero. They converge slowly, with the square root of n; with few masks the map shows
    the masks. Needs nothing but scores.

    Args:
        grid_size: Number of cells along a side of the random grid; 7 in the paper.
        keep: Probability of a cell to be shown; 0.5 in the paper, 0.1 in the authors' notebooks.
        n_samples: Number of masks; 4,000 for a VGG and 8,000 for a ResNet in the paper.
        normalization: ``expected`` = divide by n times `keep` (the paper's); ``coverage`` = by the sum of the masks at
            each pixel, which takes out how often it happened to be shown.
        masks: ``smooth`` = cells enlarged bilinearly and shifted (the paper); ``nearest`` = sharp cells that stay where
            they are, each shown or hidden, and a map of a value each, ``(B, grid_size, grid_size)``.
        baseline: Baseline that replaces hidden pixels; zeros of model input in the paper; ``tokens`` = of a ViT the
            patches are left out, which takes ``nearest`` masks of cells of whole patches.
        output: Score of a class: ``logit``, ``prob`` (the paper), ``logprob`` or ``rest`` (logit + logprob).
        chunk: Number of model inputs at once.
        seed: Seed of the masks.

    Raises:
        InputError: A number outside its range.
    """

    card = Card("Petsiuk, Das and Saenko, RISE, 2018 (arXiv 1806.07421)", "n_samples forwards (4,000)")

    def __init__(
        self,
        grid_size: int = 7,
        keep: float = 0.5,
        n_samples: int = 4000,
        normalization: Normalization = "expected",
        masks: Masks = "smooth",
        baseline: MaskBaseline = "zero",
        output: Score = "logit",
        chunk: Chunk = "auto",
        seed: int = 0,
    ) -> None:
        check_count(grid_size=grid_size, n_samples=n_samples)
        if not 0 < keep <= 1:
            raise InputError(f"keep is {keep}: give the probability that a cell is shown, above 0 and at most 1")
        self.grid_size = grid_size
        self.keep = keep
        self.n_samples = n_samples
        self.normalization = check_choice(normalization, Normalization, "normalization")
        self.masks = check_choice(masks, Masks, "masks")
        self.baseline = checked_baseline(baseline, masks == "nearest", "set masks to nearest")
        self.output = check_choice(output, Score, "output")
        self.chunk = chunk
        self.seed = seed
        self._evaluator = BatchedEvaluator(chunk)

    @torch.no_grad()
    def _explain(self, model: Network, images: Tensor, targets: Resolved) -> Explanation:
        images, size = images.contiguous(), (images.shape[-2], images.shape[-1])
        hidden, sharp = hiding(model, images, self.baseline, self.seed), self.masks == "nearest"
        check_grid(hidden, self.grid_size, size)
        drawn = random_cells(self.seed, self.n_samples, self.grid_size, self.keep)
        kept, shifts = (part.to(images.device, working_dtype(images)) for part in drawn)

        def masks(some: slice) -> Tensor:
            return cell_masks(kept[some].flatten(1), size) if sharp else shifted_masks(kept[some], shifts[some], size)

        scores = mask_scores(hidden, images, targets, self.n_samples, lambda some, rows: masks(some), self._evaluator)
        summed, shown = self._summed(scores, kept.__getitem__ if sharp else masks)
        if self.normalization == "expected":
            maps = summed / (self.n_samples * self.keep)
        else:
            maps = torch.where(shown > 0, summed / shown, 0.0)
        return Explanation(maps.to(working_dtype(images)), {})

    def _summed(self, scores: Tensor, masks: Callable[[slice], Tensor]) -> tuple[Tensor, Tensor]:
        """Masks added up, weighted by the scores ``(n, B)``: ``(B, H, W)``; and as they are, ``(H, W)``."""
        weights = fp64_where_possible(torch.cat([scores.T, scores.new_ones(1, self.n_samples)]))
        size = tuple(masks(slice(0, 1)).shape[1:])
        total = weights.new_zeros(len(weights), size[0] * size[1])
        step = max(1, PIXELS // (size[0] * size[1]))
        with torch.autocast(scores.device.type, enabled=False):
            for start in range(0, self.n_samples, step):
                some = slice(start, min(self.n_samples, start + step))
                total += weights[:, some] @ masks(some).flatten(1).to(total)
        total = total.unflatten(-1, size)
        return total[:-1], total[-1]
