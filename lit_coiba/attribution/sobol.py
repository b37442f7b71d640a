"""Sobol indices of the cells of an image.

Fel et al., "Look at the Variance! Efficient Black-box Explanations with Sobol-based Sensitivity Analysis", 2021
(arXiv 2111.04138).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from lit_coiba.core.copies import Chunk, Copies
from lit_coiba.core.errors import InputError, checked, chosen
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.frozen import frozen
from lit_coiba.core.method import AttributionMethod, Card
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Output, check_images
from lit_coiba.functional.quasi_random import MOST_DIMENSIONS, sobol_sequence
from lit_coiba.functional.sobol_indices import Estimator, first_order, replicated_rows, total_order
from lit_coiba.perturbation.masking import Perturbation, cell_scores, checked_perturbation, target_classes

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
        grid: g, cells along a side, at most 102; the authors' 8.
        n: Points of the design, a power of two; the authors' repository has 64, the later library 32.
        order: ``total``, or ``first``: what a cell accounts for alone (Saltelli et al., 2010), a little below zero at
            times; it needs B.
        estimator: Of the total order: ``jansen`` (the default of the authors), ``homma``, ``janon``, ``glen_isaacs``,
            ``saltelli``. Scores are centred first, so that added constants change none of them.
        perturbation: ``inpainting`` = x m, zeros of model input where the mask is 0; ``blur`` = a box blur of 10 x 10
            pixels there; ``amplitude`` = x + (m - 1/2) strength, as the authors document it (their code multiplies).
        strength: Of ``amplitude``, in units of model input.
        scramble: Scramble the sequence (ours). The published sampler does not, and its first two points, all zeros and
            all halves, tell nothing: indices come out 5 to 10% too low at n = 32. False = as published.
        skip_first: Points of the sequence to leave out, a multiple of n: other numbers leave an unbalanced rest.
        evaluate_b: Evaluate B too, n (d + 2) forwards instead of n (d + 1): the published design. The total order is
            the same; ``extras["first_order"]`` ``(B, g, g)`` comes with it.
        output: Explain the ``logit`` or the ``prob`` of the class.
        chunk: Model inputs at once.
        seed: Of the scrambling.

    Raises:
        InputError: A number outside its range; n is no power of two; `skip_first` is no multiple of n.
    """

    card = Card("Fel et al., Look at the Variance!, 2021 (arXiv 2111.04138)", "n (g g + 1) forwards (4,160)")

    def __init__(
        self,
        grid: int = 8,
        n: int = 64,
        order: Order = "total",
        estimator: Estimator = "jansen",
        perturbation: Perturbation = "inpainting",
        strength: float = 1.0,
        scramble: bool = True,
        skip_first: int = 0,
        evaluate_b: bool = False,
        output: Output = "logit",
        chunk: Chunk = "auto",
        seed: int = 0,
    ) -> None:
        checked(grid=grid)
        checked(2, n=n)
        checked(0, skip_first=skip_first)
        if 2 * grid**2 > MOST_DIMENSIONS:
            most = int((MOST_DIMENSIONS // 2) ** 0.5)
            raise InputError(f"grid is {grid}: a Sobol sequence has dimensions for {most} cells along a side at most")
        if n & (n - 1):
            raise InputError(
                f"n is {n}: give a power of two, such as {2 ** n.bit_length()}, or the points lose balance"
            )
        if skip_first % n:
            raise InputError(f"skip_first is {skip_first}: give a multiple of n, which is {n}, or 0")
        self.grid = grid
        self.n = n
        self.order = chosen(order, Order, "order")
        self.estimator = chosen(estimator, Estimator, "estimator")
        self.perturbation = checked_perturbation(perturbation, strength)
        self.strength = strength
        self.scramble = scramble
        self.skip_first = skip_first
        self.evaluate_b = evaluate_b
        self.output = chosen(output, Output, "output")
        self.chunk = chunk
        self.seed = seed
        self._copies = Copies(chunk)

    def explain(self, model: Network, images: Tensor, targets: Tensor | int | None = None) -> Explanation:
        """Explain `images` ``(B, 3, H, W)`` for `targets` ``(B,)``, or one for all; None: the predicted class."""
        check_images(model, images)
        with_b, cells = self.evaluate_b or self.order == "first", self.grid**2
        with frozen(model), torch.no_grad():
            images = images.detach().contiguous()
            classes = target_classes(model, images, targets, self._copies)
            design = sobol_sequence(self.n, 2 * cells, self.seed if self.scramble else None, self.skip_first)

            def values(some: slice) -> Tensor:
                return replicated_rows(design, torch.arange(some.start, some.stop), with_b)

            count, how = self.n * (cells + 1 + with_b), (self.output, self.perturbation, self.strength)
            scores = cell_scores(model, images, classes, count, values, self._copies, *how).cpu()
            a, *b, c = scores.split([self.n] * (1 + with_b) + [self.n * cells])
            c = c.unflatten(0, (cells, self.n))
            found = {"total": total_order(a, c, self.estimator)}
            if with_b:
                found["first"] = first_order(a, b[0], c)

        def placed(values: Tensor) -> Tensor:
            precision = torch.promote_types(images.dtype, torch.float32)
            return values.to(images.device, precision)

        maps = {order: placed(values.T.unflatten(-1, (self.grid, self.grid))) for order, values in found.items()}
        extras = {"variance": placed(a.double().var(0))}
        if with_b:
            extras["first_order"] = maps["first"]
        return Explanation(maps[self.order], extras)
