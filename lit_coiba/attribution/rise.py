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
from lit_coiba.core.frozen import frozen
from lit_coiba.core.images import Output, check_images
from lit_coiba.core.method import AttributionMethod, Card
from lit_coiba.core.network import Network
from lit_coiba.functional.random_masks import random_cells, shifted_masks
from lit_coiba.perturbation.baselines import Baseline
from lit_coiba.perturbation.masking import baseline_or_zeros, copy_scores, masked, target_classes

Normalisation = Literal["expected", "coverage"]

PIXELS = 2**22  # of masks that are added up at once, 32 MB in fp64


class RISE(AttributionMethod):
    """Mean score of the masked copies that show a pixel; maps at pixel resolution.

    Masks are random cells, enlarged smoothly and shifted; all images share them. Every pixel carries the mean score
    plus what showing it adds, so a map has a large constant part and only its differences mean something: those of a
    pixel outside the object are not zero. They converge slowly, with the square root of n; with few masks the map shows
    the masks. Needs nothing but scores.

    Args:
        grid_size: Along a side of the random grid; 7 in the paper.
        keep: Probability of a cell to be shown; 0.5 in the paper, 0.1 in the authors' notebooks.
        n_samples: Masks; the paper has 4,000 for a VGG and 8,000 for a ResNet.
        normalisation: ``expected`` = divide by n times `keep` (the paper's); ``coverage`` = by the sum of the masks at
            each pixel, which takes out how often it happened to be shown.
        baseline: What hidden pixels show; the paper's zeros of model input.
        output: Explain the ``logit`` or the ``prob`` of the class; the paper's are probabilities.
        chunk: Model inputs at once.
        seed: Of the masks.

    Raises:
        InputError: A number outside its range.
    """

    card = Card("Petsiuk, Das and Saenko, RISE, 2018 (arXiv 1806.07421)", "n_samples forwards (4,000)")

    def __init__(
        self,
        grid_size: int = 7,
        keep: float = 0.5,
        n_samples: int = 4000,
        normalisation: Normalisation = "expected",
        baseline: Baseline = "zero",
        output: Output = "logit",
        chunk: Chunk = "auto",
        seed: int = 0,
    ) -> None:
        check_count(grid_size=grid_size, n_samples=n_samples)
        if not 0 < keep <= 1:
            raise InputError(f"keep is {keep}: give the probability that a cell is shown, above 0 and at most 1")
        self.grid_size = grid_size
        self.keep = keep
        self.n_samples = n_samples
        self.normalisation = check_choice(normalisation, Normalisation, "normalisation")
        self.baseline = check_choice(baseline, Baseline, "baseline")
        self.output = check_choice(output, Output, "output")
        self.chunk = chunk
        self.seed = seed
        self._copies = BatchedEvaluator(chunk)

    def explain(self, model: Network, images: Tensor, targets: Tensor | int | None = None) -> Explanation:
        """Explain `images` ``(B, 3, H, W)`` for `targets` ``(B,)``, or one for all; None: the predicted class."""
        check_images(model, images)
        size = (images.shape[-2], images.shape[-1])
        with frozen(model), torch.no_grad():
            images = images.detach().contiguous()
            classes = target_classes(model, images, targets, self._copies)
            hidden = baseline_or_zeros(self.baseline, images, model, self.seed)
            kept, shifts = random_cells(self.seed, self.n_samples, self.grid_size, self.keep)
            precise = torch.promote_types(images.dtype, torch.float32)
            kept, shifts = kept.to(images.device, precise), shifts.to(images.device, precise)

            def masks(some: slice) -> Tensor:
                return shifted_masks(kept[some], shifts[some], size)

            def make(some: slice, rows: slice) -> Tensor:
                return masked(images[rows], masks(some), None if hidden is None else hidden[rows])

            scores = copy_scores(model, images, classes, self.n_samples, make, self._copies, self.output)
            summed, shown = self._summed(scores, masks, size)
        if self.normalisation == "expected":
            maps = summed / (self.n_samples * self.keep)
        else:
            maps = torch.where(shown > 0, summed / shown, 0.0)
        return Explanation(maps.to(precise), {})

    def _summed(self, scores: Tensor, masks: Callable[[slice], Tensor], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Masks added up, weighted by the scores ``(n, B)``: ``(B, H, W)``; and as they are, ``(H, W)``."""
        dtype = torch.float32 if scores.device.type == "mps" else torch.float64
        weights = torch.cat([scores.T.to(dtype), scores.new_ones(1, self.n_samples, dtype=dtype)])
        total = torch.zeros(len(weights), size[0] * size[1], dtype=dtype, device=scores.device)
        step = max(1, PIXELS // (size[0] * size[1]))
        with torch.autocast(scores.device.type, enabled=False):
            for start in range(0, self.n_samples, step):
                some = slice(start, min(self.n_samples, start + step))
                total += weights[:, some] @ masks(some).flatten(1).to(dtype)
        total = total.unflatten(-1, size)
        return total[:-1], total[-1]
