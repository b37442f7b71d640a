"""Integrated gradients: gradients along the straight path from a baseline to the image.

Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", 2017 (arXiv 1703.01365); Captum's rules, in
the precision of the images.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from lit_coiba.core.batched_evaluator import BatchedEvaluator, Chunk
from lit_coiba.core.errors import check_choice, check_count
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod, Card
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved, Score
from lit_coiba.functional import precise, working_dtype
from lit_coiba.functional.channels import Reduce, over_colours
from lit_coiba.perturbation.baselines import Baseline, baseline_images
from lit_coiba.perturbation.paths import cast, path_attribution

Rule = Literal["gausslegendre", "riemann_right", "riemann_left", "riemann_middle"]


class IntegratedGradients(AttributionMethod):
    """Gradient of the target's score, averaged from a baseline to the image, times their difference; signed, in pixels.

    A map sums to the score at the image minus the score at the baseline, up to the error of the sum over `steps`. The
    extras ``attribution_sum`` and ``score_difference`` are these two numbers: if they are far apart, take more steps.
    What has the color of the baseline gets nothing, however much it matters: look at more than one `baseline`. Maps of
    deep ReLU networks are grainy; of neighboring pixels trust the sum rather than one.

    Captum's trapezoid rule is not offered, since its weights sum to ``1 - 1 / steps``.

    Args:
        baseline: ``zero`` = zeros of model input, the mean color of the training data (Captum's default); ``black``;
            ``mean`` = the image's own mean color; ``blur``; ``noise`` = the image with Gaussian noise; ``uniform`` =
            random pixels; ``opposite`` = black or white, whichever is farther, for every color value.
        steps: Number of points of the path (Captum's default).
        rule: Quadrature rule: positions and weights of the points (Captum's default).
        output: Score of a class: ``logit``, ``prob``, ``logprob`` or ``rest`` (logit + logprob).
        reduce: Reduction over the colors; ``sum`` keeps the sum of a map.
        seed: Seed of the random baselines, which all images share.
        chunk: Number of model inputs at once.

    Raises:
        InputError: A value out of its range.
    """

    card = Card("Sundararajan, Taly and Yan, 2017 (arXiv 1703.01365)", "52 forwards, 50 backwards", ("gradients",))

    def __init__(
        self,
        baseline: Baseline = "zero",
        steps: int = 50,
        rule: Rule = "gausslegendre",
        output: Score = "logit",
        reduce: Reduce = "sum",
        seed: int = 0,
        chunk: Chunk = "auto",
    ) -> None:
        check_count(2, steps=steps)
        self.baseline: Baseline = check_choice(baseline, Baseline, "baseline")
        self.rule: Rule = check_choice(rule, Rule, "rule")
        self.output: Score = check_choice(output, Score, "output")
        self.reduce: Reduce = check_choice(reduce, Reduce, "reduce")
        self.steps, self.seed, self.chunk = steps, seed, chunk
        self._evaluator = BatchedEvaluator(chunk)

    def _explain(self, model: Network, images: Tensor, targets: Resolved) -> Explanation:
        network, images = cast(model, images), precise(images)
        baselines = baseline_images(self.baseline, images, model, self.seed)
        values = path_attribution(network, images, baselines, targets, *_points(self.rule, self.steps), self._evaluator)

        def scores(some: slice, rows: slice) -> Tensor:
            """At the image and at the baseline, ``(k, r)``."""
            points = (images, baselines)[some]
            return torch.stack([targets.take(rows).score(network(point[rows])) for point in points])

        with torch.no_grad():
            ends = self._evaluator.gather(images, 2, scores)
        total = values.flatten(1).sum(1, dtype=working_dtype(values))
        maps = over_colours(values, self.reduce)
        return Explanation(maps, {"attribution_sum": total, "score_difference": ends[0] - ends[1]})


def _points(rule: Rule, steps: int) -> tuple[list[float], list[float]]:
    """Weights of the points of a path, and how far along it they lie, from 0 to 1."""
    if rule == "gausslegendre":
        places, weights = np.polynomial.legendre.leggauss(steps)
        return (weights / 2).tolist(), ((places + 1) / 2).tolist()
    first = {"riemann_right": 1.0, "riemann_left": 0.0, "riemann_middle": 0.5}[rule]
    return [1 / steps] * steps, [(step + first) / steps for step in range(steps)]
