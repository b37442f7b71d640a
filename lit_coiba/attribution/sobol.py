"""Sobol indices of the cells of an image.

Fel et al., "Look at the Variance! Efficient Black-box Explanations with Sobol-based Sensitivity Analysis", 2021
(arXiv 2111.04138).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from lit_coiba.core.batched_evaluator import BatchedEvaluator, Chunk
from lit_coiba.core.errors import InputError, check_choice, check_count
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod, Card
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved, Score
from lit_coiba.functional import working_dtype
from lit_coiba.functional.quasi_random import MOST_DIMENSIONS, sobol_sequence
from lit_coiba.functional.sobol_indices import Estimator, first_order, replicated_rows, total_order
from lit_coiba.perturbation.hiding import MaskBaseline, cell_scores, checked_baseline
from lit_coiba.perturbation.masking import Perturbation, checked_perturbation

Masks = Literal["continuous", "binary"]
Order = Literal["total", "first"]


class Sobol(AttributionMethod):
    """Share of the variance of the score that each cell accounts for, when all cells are darkened at random.

    The image is seen through masks of g x g cells with values in [0, 1], points of one scrambled Sobol sequence that
    all images share. The total-order index of a cell is the part of the variance that it takes part in, alone or
    together with others; indices of interacting cells therefore add up to more than 1. Maps are the g x g indices
    themselves, never negative with Jansen's estimator: a cell that speaks against the class counts like one that speaks
    for it. Needs nothing but scores. The indices are estimates, and a larger n is the remedy where they are noisy.
    ``extras["variance"]`` ``(B,)`` is the variance that is divided up; where there is none the map is zero.

    Args:
        grid_size: Number of cells g along a side, at most 102; 8 in the authors' code.
        n_samples: Number of points of the design, a power of two; 64 in the authors' repository, 32 in their later
            library.
        order: ``total``, or ``first``: what a cell accounts for alone (Saltelli et al., 2010), a little below zero at
            times; it needs B.
        estimator: Estimator of the total order: ``jansen`` (the default of the authors), ``homma``, ``janon``,
            ``glen_isaacs``, ``saltelli``. Scores are centered first, so that added constants change none of them.
        perturbation: ``inpainting`` = x m + (1 - m) baseline; ``blur`` = a box blur of 10 x 10
            pixels there; ``amplitude`` = x + (m - 1/2) strength, as the authors document it (their code multiplies).
        strength: Strength of ``amplitude``, in units of model input.
        masks: ``continuous`` = values in [0, 1] (the paper); ``binary`` = rounded, so that a cell is shown or hidden.
        baseline: Baseline that shows where ``inpainting`` masks are 0: zeros of model input in the paper; ``tokens`` =
            of a ViT the patches are left out, which takes binary masks and cells of whole patches.
        scramble: Whether to scramble the sequence (ours). The published sampler does not, and its first two points, all
            zeros and all halves, carry no information: indices come out 5 to 10% too low at n = 32. False = as
            published.
        skip_first: Points of the sequence to leave out, a multiple of n: other numbers leave an unbalanced rest.
        evaluate_b: Whether to evaluate B too, with n (d + 2) forwards instead of n (d + 1): the published design. The
            total order is the same; ``extras["first_order"]`` ``(B, g, g)`` comes with it.
        output: Score of a class: ``logit``, ``prob``, ``logprob`` or ``rest`` (logit + logprob).
        chunk: Number of model inputs at once.
        seed: Seed of the scrambling.

    Raises:
        InputError: A number outside its range; n is no power of two; `skip_first` is no multiple of n.
    """

    card = Card(
        "Fel et al., Look at the Variance!, 2021 (arXiv 2111.04138)", "n_samples (grid_size^2 + 1) forwards (4,160)"
    )

    def __init__(
        self,
        grid_size: int = 8,
        n_samples: int = 64,
        order: Order = "total",
        estimator: Estimator = "jansen",
        perturbation: Perturbation = "inpainting",
        strength: float = 1.0,
        masks: Masks = "continuous",
        baseline: MaskBaseline = "zero",
        scramble: bool = True,
        skip_first: int = 0,
        evaluate_b: bool = False,
        output: Score = "logit",
        chunk: Chunk = "auto",
        seed: int = 0,
    ) -> None:
        check_count(grid_size=grid_size)
        check_count(2, n_samples=n_samples)
        check_count(0, skip_first=skip_first)
        if 2 * grid_size**2 > MOST_DIMENSIONS:
            most = int((MOST_DIMENSIONS // 2) ** 0.5)
            raise InputError(
                f"grid_size is {grid_size}: a Sobol sequence has dimensions for {most} cells along a side at most"
            )
        if n_samples & (n_samples - 1):
            raise InputError(
                f"n_samples is {n_samples}: give a power of two, such as {2 ** n_samples.bit_length()},"
                " or the points lose balance"
            )
        if skip_first % n_samples:
            raise InputError(f"skip_first is {skip_first}: give a multiple of n_samples, which is {n_samples}, or 0")
        self.grid_size = grid_size
        self.n_samples = n_samples
        self.order = check_choice(order, Order, "order")
        self.estimator = check_choice(estimator, Estimator, "estimator")
        self.perturbation = checked_perturbation(perturbation, strength)
        self.strength = strength
        self.masks = check_choice(masks, Masks, "masks")
        self.baseline = checked_baseline(baseline, masks == "binary", "set masks to binary", perturbation)
        self.scramble = scramble
        self.skip_first = skip_first
        self.evaluate_b = evaluate_b
        self.output = check_choice(output, Score, "output")
        self.chunk = chunk
        self.seed = seed
        self._evaluator = BatchedEvaluator(chunk)

    @torch.no_grad()
    def _explain(self, model: Network, images: Tensor, targets: Resolved) -> Explanation:
        with_b, cells, images = self.evaluate_b or self.order == "first", self.grid_size**2, images.contiguous()
        design = sobol_sequence(self.n_samples, 2 * cells, self.seed if self.scramble else None, self.skip_first)

        def values(some: slice) -> Tensor:
            return replicated_rows(design, torch.arange(some.start, some.stop), with_b)

        if self.masks == "binary":
            design = design.round()
        count, how = self.n_samples * (cells + 1 + with_b), (self.perturbation, self.strength)
        scores = cell_scores(
            model, images, targets, count, values, self._evaluator, how, self.baseline, self.seed
        ).cpu()
        a, *b, c = scores.split([self.n_samples] * (1 + with_b) + [self.n_samples * cells])
        c = c.unflatten(0, (cells, self.n_samples))
        found = {"total": total_order(a, c, self.estimator)}
        if with_b:
            found["first"] = first_order(a, b[0], c)

        def placed(values: Tensor) -> Tensor:
            return values.to(images.device, working_dtype(images))

        maps = {
            order: placed(values.T.unflatten(-1, (self.grid_size, self.grid_size))) for order, values in found.items()
        }
        extras = {"variance": placed(a.double().var(0))}
        if with_b:
            extras["first_order"] = maps["first"]
        return Explanation(maps[self.order], extras)
