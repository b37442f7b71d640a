"""The classifier that most networks end in, as a head that explains itself."""

from __future__ import annotations

from torch import Tensor, nn

from lit_coiba.functional import precise, spatial_average
from lit_coiba.heads.head import Head, Terms, exact_linear


class LinearHead(Head):
    """Average pooling and a linear layer; its map is the class activation map.

    Zhou et al., "Learning Deep Features for Discriminative Localization", 2016 (arXiv 1512.04150). Units are channels:
    channel k adds W_ck times its mean. The map is signed, sum_k W_ck x_k / (h w), so that it sums to the logit without
    bias; the map of a unit is x_k where it has the sign of its mean.

    Args:
        in_channels: Number of channels C of the features.
        num_classes: Number of classes K.
        bias: Whether the linear layer has a bias.

    Example:
        >>> import torch
        >>> LinearHead(8, num_classes=3)(torch.ones(2, 8, 7, 7)).shape
        torch.Size([2, 3])
    """

    orderless = True

    def __init__(self, in_channels: int, num_classes: int, bias: bool = True) -> None:
        super().__init__(in_channels, num_classes)
        self.bias = bias
        self.classifier = nn.Linear(in_channels, num_classes, bias)

    @property
    def units(self) -> int:
        """C."""
        return self.in_channels

    def forward(self, features: Tensor) -> Tensor:
        """Logits ``(B, K)``."""
        return exact_linear(spatial_average(self._checked(features)), self.classifier.weight, self._bias())

    def activations(self, features: Tensor) -> Tensor:
        """The features themselves, ``(B, C, h, w)``."""
        return precise(self._checked(features))

    def unit_weights(self) -> Tensor:
        """The weights, ``(K, C)``."""
        return precise(self.classifier.weight)

    def _contributions(self, features: Tensor, classes: Tensor) -> Tensor:
        return precise(self.classifier.weight)[classes] * spatial_average(features)

    def _terms(self, features: Tensor, classes: Tensor) -> Terms:
        x = self.activations(features)
        weights = precise(self.classifier.weight)[classes]
        maps = (weights[:, :, None, None] * x).sum(1) / (x.shape[-2] * x.shape[-1])
        signs = spatial_average(x).sign()
        return Terms(self._contributions(features, classes), maps, (signs[:, :, None, None] * x).relu())

    def _bias(self) -> Tensor | None:
        bias: Tensor | None = self.classifier.bias
        return bias
