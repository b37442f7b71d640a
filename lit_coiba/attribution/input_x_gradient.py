"""Input x gradient: what the pixels contribute to a linear model that has the network's slope.

Shrikumar, Greenside, Shcherbina and Kundaje, "Not Just a Black Box", 2016 (arXiv 1605.01713).
"""

from __future__ import annotations

import torch
from torch import Tensor

from lit_coiba.core.errors import check_choice
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod, Card, Start, from_start
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved, Score
from lit_coiba.functional.channels import Reduce, over_colours


class InputXGradient(AttributionMethod):
    """Model input times the gradient of the target's score: signed, at pixel resolution.

    Exact for a linear model. On networks of ReLUs without biases it equals integrated gradients from zero and
    epsilon-LRP, and sums to the logit; elsewhere it is a first guess that costs one backward pass and is as noisy as
    the gradient. Pixels of the mean color of the training data, zeros of model input, get nothing.

    Args:
        output: Score of a class: ``logit``, ``prob``, ``logprob`` or ``rest`` (logit + logprob).
        reduce: Reduction over the colors; ``sum`` keeps the sum of a map.

    Raises:
        InputError: A value that is not among its choices.
    """

    card = Card(
        "Shrikumar, Greenside, Shcherbina and Kundaje, 2016 (arXiv 1605.01713)",
        "1 forward, 1 backward",
        ("gradients",),
    )

    def __init__(self, output: Score = "logit", reduce: Reduce = "sum") -> None:
        self.output: Score = check_choice(output, Score, "output")
        self.reduce: Reduce = check_choice(reduce, Reduce, "reduce")

    _explain = from_start

    def _start(self, model: Network, images: Tensor) -> Start:
        return Start(model(images.requires_grad_()), images)

    def _explain_started(self, model: Network, images: Tensor, targets: Resolved, started: Start) -> Explanation:
        (gradient,) = torch.autograd.grad(targets.score(started.out).sum(), started.state)
        return Explanation(over_colours(images * gradient, self.reduce), {})
