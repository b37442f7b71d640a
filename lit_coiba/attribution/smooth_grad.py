"""SmoothGrad, SquareGrad and VarGrad: the gradient among noisy copies of the image.

Smilkov, Thorat, Kim, Viégas and Wattenberg, "SmoothGrad: removing noise by adding noise", 2017 (arXiv 1706.03825);
squares: Hooker et al., 2019 (arXiv 1806.10758); variance: Adebayo et al., 2018 (arXiv 1810.03307).
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
from lit_coiba.functional import fp64_where_possible, noise, working_dtype
from lit_coiba.functional.channels import Reduce, over_colours

Kind = Literal["smooth", "square", "var"]


class SmoothGrad(AttributionMethod):
    """Mean gradient of the target's score over noisy samples of the image, at pixel resolution.

    The noise averages out what the gradient does between neighboring inputs, and keeps what is steep throughout:
    smoother maps than `Saliency`. `kind` ``square`` takes the mean of the squared gradients, ``var`` their variance;
    both are positive, and more concentrated. Too much noise explains images that the model never saw: if the class is
    no longer predicted on the samples, lower `sigma`.

    Args:
        kind: ``smooth`` = mean, ``square`` = mean of squares, ``var`` = variance, divided by `n_samples`.
        sigma: Standard deviation of the noise, as a share of the range from black to white (paper: 0.1 to 0.2).
        n_samples: Number of noisy samples of an image (paper); Captum's default of 5 is too few, and its noise of 1.0
            too much.
        output: Score of a class: ``logit``, ``prob``, ``logprob`` or ``rest`` (logit + logprob).
        reduce: Reduction over the colors; signs of a gradient are of little use in a picture.
        seed: Seed of the noise, which all images share.
        chunk: Number of model inputs at once.

    Raises:
        InputError: A value out of its range.
    """

    card = Card(
        "Smilkov, Thorat, Kim, Viégas and Wattenberg, 2017 (arXiv 1706.03825)",
        "50 forwards, 50 backwards",
        ("gradients",),
    )

    def __init__(
        self,
        kind: Kind = "smooth",
        sigma: float = 0.15,
        n_samples: int = 50,
        output: Score = "logit",
        reduce: Reduce = "abs_max",
        seed: int = 0,
        chunk: Chunk = "auto",
    ) -> None:
        if not 0 <= sigma < torch.inf:
            raise InputError(f"sigma is {sigma}: give a share of the range of pixels, such as 0.15")
        check_count(1 + (kind == "var"), n_samples=n_samples)
        self.kind: Kind = check_choice(kind, Kind, "kind")
        self.output: Score = check_choice(output, Score, "output")
        self.reduce: Reduce = check_choice(reduce, Reduce, "reduce")
        self.sigma, self.n_samples, self.seed, self.chunk = sigma, n_samples, seed, chunk
        self._evaluator = BatchedEvaluator(chunk)

    def _explain(self, model: Network, images: Tensor, targets: Resolved) -> Explanation:
        scale = self.sigma / images.new_tensor(model.preprocessing.std).view(-1, 1, 1)  # in units of model input

        def gradients(some: slice, rows: slice) -> Tensor:
            """Sums of the gradients, or of their squares, or of both, ``(r, moments, 3, H, W)``."""
            shape = images.shape[1:]
            drawn = torch.stack([noise(self.seed, copy, 0, shape) for copy in range(some.start, some.stop)])
            noisy = (images[rows] + (scale * drawn.to(images)).unsqueeze(1)).flatten(0, 1).requires_grad_()
            scores = targets.take(rows).repeat(len(drawn)).score(model(noisy))
            (found,) = torch.autograd.grad(scores.sum(), noisy)
            found = fp64_where_possible(found).unflatten(0, (len(drawn), -1))  # a variance is a small difference
            moments = {"smooth": (found,), "square": (found**2,), "var": (found, found**2)}[self.kind]
            return torch.stack([moment.sum(0) for moment in moments], 1)

        means = self._evaluator.accumulate(images, self.n_samples, gradients) / self.n_samples
        values = means[:, -1]
        if self.kind == "var":
            values = (values - means[:, 0] ** 2).clamp_min(0)  # rounding may fall below
        return Explanation(over_colours(values, self.reduce).to(working_dtype(images)), {})
