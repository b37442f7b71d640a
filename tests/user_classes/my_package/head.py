"""A linear head whose logits are scaled."""

import torch
from torch import nn

from lit_coiba.heads import Head
from lit_coiba.heads.head import Terms


class MyHead(Head):
    """Scaled class activation maps.

    Args:
        channels: Of the features.
        classes: How many.
        scale: Of the logits.
    """

    def __init__(self, channels: int, classes: int, scale: float = 1.0) -> None:
        super().__init__(channels, classes)
        self.channels, self.classes, self.scale = channels, classes, scale
        self.weight = nn.Parameter(torch.linspace(-0.1, 0.1, channels * classes).view(classes, channels))

    @property
    def units(self):
        return self.channels

    def forward(self, features):
        return self.scale * features.float().mean((-2, -1)) @ self.weight.T

    def activations(self, features):
        return features.float()

    def _contributions(self, features, classes):
        return self.scale * self.weight[classes] * features.float().mean((-2, -1))

    def _terms(self, features, classes):
        x = features.float()
        maps = (self.scale * self.weight[classes][:, :, None, None] * x).sum(1) / x[0, 0].numel()
        return Terms(self._contributions(features, classes), maps, x.relu())

    def _bias(self):
        return None
