"""A teacher whose loss is scaled once more."""

from lit_coiba.backbones import Backbone
from lit_coiba.heads.head import Head
from lit_coiba.training.teacher import Teacher


class MyTeacher(Teacher):
    """Twice the loss.

    Args:
        backbone: The network.
        weights: Of a trained classifier.
        factor: Of the loss.
        head: The class of the head in `weights`.
    """

    def __init__(
        self, backbone: Backbone, weights: str | None = None, factor: float = 2.0, head: type[Head] | None = None
    ) -> None:
        super().__init__(backbone, weights, head=head)
        self.factor = factor

    def loss(self, images, logits, targets, label_smoothing=0.0):
        return self.factor * super().loss(images, logits, targets, label_smoothing)
