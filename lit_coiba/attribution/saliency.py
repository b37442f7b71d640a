"""Gradient saliency: how much each pixel moves the logit.

Simonyan, Vedaldi and Zisserman, "Deep Inside Convolutional Networks", 2013 (arXiv 1312.6034).
"""

from __future__ import annotations

import torch
from torch import Tensor

from lit_coiba.core.errors import check_choice
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod, Card, Start, from_start
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved
from lit_coiba.functional.channels import Reduce, over_colours


class Saliency(AttributionMethod):
    """Maximum over the color channels of the absolute gradient of the target's logit; maps at pixel resolution.

    One gradient is noisy: neighboring pixels differ, and a saturated unit says nothing. It is the cheapest method, and
    what the others are compared with.

    Args:
        reduce: Reduction over the colors; ``abs_max`` is the paper's, and ``sum`` and ``mean`` keep signs.

    Raises:
        InputError: A value that is not among its choices.
    """

    card = Card("Simonyan, Vedaldi and Zisserman, 2013 (arXiv 1312.6034)", "1 forward, 1 backward", ("gradients",))

    def __init__(self, reduce: Reduce = "abs_max") -> None:
        self.reduce: Reduce = check_choice(reduce, Reduce, "reduce")

    _explain = from_start

    def _start(self, model: Network, images: Tensor) -> Start:
        return Start(model(images.requires_grad_()), images)

    def _explain_started(self, model: Network, images: Tensor, targets: Resolved, started: Start) -> Explanation:
        (gradient,) = torch.autograd.grad(targets.score(started.out).sum(), started.state)
        return Explanation(over_colours(gradient, self.reduce), {})
