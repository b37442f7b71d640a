"""Input x gradient: what the pixels contribute to a linear model that has the network's slope.

Shrikumar, Greenside, Shcherbina and Kundaje, "Not Just a Black Box", 2016 (arXiv 1605.01713); Captum's implementation.
"""

from __future__ import annotations

import torch
from captum.attr import InputXGradient as CaptumInputXGradient
from torch import Tensor

from lit_coiba.core.errors import check_choice
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.frozen import frozen
from lit_coiba.core.images import Output, check_images, class_scores, class_targets
from lit_coiba.core.method import AttributionMethod, Card
from lit_coiba.core.network import Network
from lit_coiba.functional import precise
from lit_coiba.functional.channels import Reduce, over_colours


class InputXGradient(AttributionMethod):
    """Model input times the gradient of the target's score: signed, at pixel resolution.

    Exact for a linear model. On networks of ReLUs without biases it equals integrated gradients from zero and
    epsilon-LRP, and sums to the logit; elsewhere it is a first guess that costs one backward pass and is as noisy as
    the gradient. Pixels of the mean colour of the training data, zeros of model input, get nothing.

    Args:
        output: What is explained: ``logit`` or ``prob``.
        reduce: Over the colours; ``sum`` keeps the sum of a map.

    Raises:
        InputError: A value that is not among its choices.
    """

    card = Card(
        "Shrikumar, Greenside, Shcherbina and Kundaje, 2016 (arXiv 1605.01713)",
        "1 forward, 1 backward",
        ("gradients",),
    )

    def __init__(self, output: Output = "logit", reduce: Reduce = "sum") -> None:
        self.output: Output = check_choice(output, Output, "output")
        self.reduce: Reduce = check_choice(reduce, Reduce, "reduce")

    def explain(self, model: Network, images: Tensor, targets: Tensor | int | None = None) -> Explanation:
        """Explain `images` ``(B, 3, H, W)`` for `targets` ``(B,)``, or one for all; None: the predicted class."""
        check_images(model, images)
        with frozen(model):
            pixels = images.detach().clone().requires_grad_()
            with torch.no_grad():
                classes = class_targets(targets, images, model.num_classes, lambda: model(pixels.detach()))

            def score(points: Tensor) -> Tensor:
                return class_scores(model(points), classes, self.output)

            values = CaptumInputXGradient(score).attribute(pixels).detach()
        maps = over_colours(values, self.reduce)
        return Explanation(precise(maps), {})
