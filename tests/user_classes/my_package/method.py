"""Input times gradient, by hand."""

import torch

from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod


class MyMethod(AttributionMethod):
    """The gradient's sign times the input.

    Args:
        power: Of the absolute value.
    """

    def __init__(self, power: float = 1.0) -> None:
        self.power = power

    def _explain(self, model, images, targets):
        (gradient,) = torch.autograd.grad(targets.score(model(images.requires_grad_())).sum(), images)
        return Explanation((gradient * images).sum(1).abs() ** self.power, {})
