"""Dependence of the score on the cells of an image.

Novello, Fel and Vigouroux, "Making Sense of Dependence: Efficient Black-box Explanations Using Dependence Measure",
2022 (arXiv 2206.06219).
"""

from __future__ import annotations

import torch
from torch import Tensor

from lit_coiba.core.batched_evaluator import BatchedEvaluator, Chunk
from lit_coiba.core.errors import InputError, check_choice, check_count
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod, Card
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved, Score
from lit_coiba.functional import working_dtype
from lit_coiba.functional.hsic import Bandwidth, Kernel, hsic
from lit_coiba.functional.quasi_random import MOST_DIMENSIONS, sobol_sequence
from lit_coiba.perturbation.hiding import MaskBaseline, cell_scores, checked_baseline
from lit_coiba.perturbation.masking import Perturbation, checked_perturbation


class HSIC(AttributionMethod):
    """How strongly the score depends on whether each cell is shown, by the Hilbert-Schmidt independence criterion.

    Half of the g x g cells are hidden at random, n times; all images share the masks. Maps are the g x g criteria, at
    least zero, without a unit: only their order and proportions within a map mean something, and a cell that speaks
    against the class counts like one that speaks for it. The cost does not depend on the number of cells, which is the
    method's point. It sees each cell on its own: where only two cells together matter, as in an exclusive or, both have
    a criterion of about zero, and Sobol's total order is the right measure.

    Args:
        grid_size: Number of cells g along a side, at most 145; 8 in the authors' code.
        n_samples: Number of masks; 500 in the authors' code.
        kernel: Kernel of the cells: ``binary`` (the authors' default); ``rbf`` and ``sobolev`` take masks with values
            in [0, 1], as they offer too.
        bandwidth: Width of the scores' kernel: ``median_distance`` = the median distance of scores that differ (ours);
            ``median_y`` = the median score, as in the authors' code: it changes with a constant added to the score.
        perturbation: ``inpainting`` = x m + (1 - m) baseline; ``blur`` = a box blur of 10 x
            10 pixels there; ``amplitude`` = x + (m - 1/2) strength.
        strength: Strength of ``amplitude``, in units of model input.
        baseline: Baseline that shows where ``inpainting`` masks are 0: zeros of model input in the paper; ``tokens`` =
            of a ViT the patches are left out, which takes the kernel ``binary`` and cells of whole patches.
        scramble: Whether to scramble the Sobol sequence that the masks are rounded from (ours). The published sampler
            does not, and its first two points, all zeros and all halves, both hide the whole image. False = as
            published.
        output: Score of a class: ``logit``, ``prob``, ``logprob`` or ``rest`` (logit + logprob).
        chunk: Number of model inputs at once.
        seed: Seed of the scrambling.

    Raises:
        InputError: A number outside its range.
    """

    card = Card("Novello, Fel and Vigouroux, 2022 (arXiv 2206.06219)", "n_samples forwards (500)")

    def __init__(
        self,
        grid_size: int = 8,
        n_samples: int = 500,
        kernel: Kernel = "binary",
        bandwidth: Bandwidth = "median_distance",
        perturbation: Perturbation = "inpainting",
        strength: float = 1.0,
        baseline: MaskBaseline = "zero",
        scramble: bool = True,
        output: Score = "logit",
        chunk: Chunk = "auto",
        seed: int = 0,
    ) -> None:
        check_count(grid_size=grid_size)
        check_count(2, n_samples=n_samples)
        if grid_size**2 > MOST_DIMENSIONS:
            most = int(MOST_DIMENSIONS**0.5)
            raise InputError(
                f"grid_size is {grid_size}: a Sobol sequence has dimensions for {most} cells along a side at most"
            )
        self.grid_size = grid_size
        self.n_samples = n_samples
        self.kernel = check_choice(kernel, Kernel, "kernel")
        self.bandwidth = check_choice(bandwidth, Bandwidth, "bandwidth")
        self.perturbation = checked_perturbation(perturbation, strength)
        self.strength = strength
        self.baseline = checked_baseline(baseline, kernel == "binary", "set kernel to binary", perturbation)
        self.scramble = scramble
        self.output = check_choice(output, Score, "output")
        self.chunk = chunk
        self.seed = seed
        self._evaluator = BatchedEvaluator(chunk)

    @torch.no_grad()
    def _explain(self, model: Network, images: Tensor, targets: Resolved) -> Explanation:
        images = images.contiguous()
        design = sobol_sequence(self.n_samples, self.grid_size**2, self.seed if self.scramble else None)
        if self.kernel == "binary":
            design = design.round()
        shown, how = design.to(images.device), (self.perturbation, self.strength)
        scores = cell_scores(
            model, images, targets, self.n_samples, shown.__getitem__, self._evaluator, how, self.baseline, self.seed
        )
        criteria = hsic(design, scores.cpu(), self.kernel, self.bandwidth)  # fp64, which not every device has
        maps = criteria.T.unflatten(-1, (self.grid_size, self.grid_size))
        return Explanation(maps.to(images.device, working_dtype(images)), {})
