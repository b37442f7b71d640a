"""A linear model of the score around an image.

Ribeiro, Singh and Guestrin, ""Why Should I Trust You?": Explaining the Predictions of Any Classifier", 2016
(arXiv 1602.04938).
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from lit_coiba.attribution.segment_method import Scores, SegmentMethod
from lit_coiba.core.batched_evaluator import Chunk
from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.core.method import Card
from lit_coiba.core.targets import Score
from lit_coiba.functional.noise import noise
from lit_coiba.functional.surrogate import (
    cosine_similarity_weights,
    explained_variance,
    weighted_lasso,
    weighted_ridge,
)
from lit_coiba.perturbation.hiding import MaskBaseline
from lit_coiba.perturbation.segments import Segments

Surrogate = Literal["ridge", "lasso"]


class LIME(SegmentMethod):
    """Coefficients of a linear model that imitates the score while segments of the image are hidden at random.

    Each segment is shown in half of the n samples; samples that show more of the image weigh more. A coefficient is
    what showing the segment adds to the score, on average over what else is shown, shrunk towards zero; above zero
    speaks for the class. Maps have a value per cell ``(B, grid_size, grid_size)`` where segments are a grid, and at
    pixels ``(B, H, W)`` for superpixels. Draws are the same for all images. ``extras["r2"]`` ``(B,)`` is the share of
    the weighted variance that the linear model explains: where it is low, do not trust the map.

    Args:
        grid_size: Number of cells along a side of the grid; about ``grid_size ** 2`` superpixels for ``slic``.
        n_samples: Number of perturbed samples; 1,000 in the authors' package for images, 50 by default in Captum.
        segments: ``grid`` = square cells; ``slic`` = superpixels of similar color (needs scikit-image). In Python,
            `explain_regions` takes your own regions.
        surrogate: ``ridge`` (the authors' package) or ``lasso`` (Captum's default).
        alpha: Penalty: 1 for the authors' ridge; 0.01 for Captum's lasso.
        kernel_width: Width of the weights, in cosine distance from the whole image; 0.25 in the authors' package.
        baseline: Baseline that replaces hidden segments; zeros of model input as in Captum (the authors' package: the
            segment's mean color); ``tokens`` = of a ViT the patches are left out, where segments are of whole ones.
        output: Score of a class: ``logit``, ``prob``, ``logprob`` or ``rest`` (logit + logprob).
        chunk: Number of model inputs at once.
        seed: Seed of the random draws.

    Raises:
        InputError: A number outside its range.
    """

    card = Card("Ribeiro, Singh and Guestrin, LIME, 2016 (arXiv 1602.04938)", "n_samples forwards (1,000)")

    def __init__(
        self,
        grid_size: int = 8,
        n_samples: int = 1000,
        segments: Segments = "grid",
        surrogate: Surrogate = "ridge",
        alpha: float = 1.0,
        kernel_width: float = 0.25,
        baseline: MaskBaseline = "zero",
        output: Score = "logit",
        chunk: Chunk = "auto",
        seed: int = 0,
    ) -> None:
        super().__init__(grid_size, n_samples, segments, baseline, output, chunk, seed)
        if not alpha >= 0:
            raise InputError(f"alpha is {alpha}: give a penalty of 0 or more")
        if not kernel_width > 0:
            raise InputError(f"kernel_width is {kernel_width}: give a width above 0")
        self.surrogate = check_choice(surrogate, Surrogate, "surrogate")
        self.alpha = alpha
        self.kernel_width = kernel_width

    def fit(self, parts: int, scores: Scores) -> tuple[Tensor, dict[str, Tensor]]:
        """Coefficients ``(b, parts)`` and how good the linear model is, for images with that many segments."""
        shown = (noise(self.seed, 0, 0, (self.n_samples, parts)) > 0).double()
        weights = cosine_similarity_weights(shown, self.kernel_width)
        if not weights.any():
            raise InputError(
                f"kernel_width is {self.kernel_width}, and no sample is that close to the whole image: give a larger "
                "one, such as 0.25"
            )
        found = scores(shown).T
        fit = weighted_ridge if self.surrogate == "ridge" else weighted_lasso
        coefficients, intercepts = fit(shown, found, weights, self.alpha)
        return coefficients, {"r2": explained_variance(shown, found, weights, coefficients, intercepts)}
