"""Input times gradient, by hand."""

from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod


class MyMethod(AttributionMethod):
    """The gradient's sign times the input.

    Args:
        power: Of the absolute value.
    """

    def __init__(self, power: float = 1.0) -> None:
        self.power = power

    def explain(self, model, images, targets=None):
        pixels = images.detach().clone().requires_grad_(True)
        logits = model(pixels)
        classes = logits.argmax(1) if targets is None else targets
        logits.gather(1, classes[:, None]).sum().backward()
        return Explanation((pixels.grad * images).sum(1).abs() ** self.power, {})
