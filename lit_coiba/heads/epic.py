"""EPIC: a trained classifier's own function, explained by channels that a rotation has made purer.

Borycki et al., "EPIC: Explanation of Pretrained Image Classification Networks via Prototypes", 2025 (arXiv 2505.12897).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lit_coiba.core.errors import InputError
from lit_coiba.functional import precise, spatial_average
from lit_coiba.heads.head import Head, Terms, exact_linear
from lit_coiba.heads.rotation import Form, Parametrization, Rotation

TOLERANCE = 0.02  # of the largest logit: bf16 rounds as much


class EPICHead(Head):
    """Average pooling and the classifier's own last layer; units are the channels of G = U F, weights W' = W U^-1.

    The logits are those of the classifier, whatever U is: W' avg(G) + b = W avg(F) + b. That holds for classifiers that
    average their features and have one linear layer behind it; a transformer that reads a CLS token is refused when the
    head is attached. Only U is trained, for purity, see `training.purity_training`.

    Args:
        in_channels: Number of input channels D.
        num_classes: Number of classes K.
        form: Form of the matrix U.
        parametrization: Parametrization of U; see `Rotation`.

    Example:
        >>> head = EPICHead(8, num_classes=3)
        >>> head.init_from_linear(torch.randn(3, 8), torch.randn(3))
        >>> features = torch.rand(2, 8, 7, 7)
        >>> explained = head.explain(features, targets=1)
        >>> torch.allclose(explained.contributions.sum(1) + head.bias[1], head(features)[:, 1], atol=1e-5)
        True
    """

    score = "sum"  # the paper retrieves by it

    orderless = True

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        form: Form = "orthogonal",
        parametrization: Parametrization = "auto",
    ) -> None:
        super().__init__(in_channels, num_classes)
        self.form: Form = form
        self.parametrization: Parametrization = parametrization
        self._off = 0.0  # by how much it would change the logits of the model that it is attached to
        self.rotate = Rotation(in_channels, form, parametrization)
        self.weight = nn.Parameter(torch.zeros(num_classes, in_channels), requires_grad=False)
        self.bias = nn.Parameter(torch.zeros(num_classes), requires_grad=False)

    @property
    def units(self) -> int:
        """D."""
        return self.in_channels

    @torch.no_grad()
    def init_from_linear(self, weight: Tensor, bias: Tensor | None = None) -> None:
        """Take W ``(K, D)`` and b ``(K,)`` from the classifier: `backbones.grid_head.linear_classifier` gives them.

        Raises:
            InputError: Weights of another shape, or this head stands where the model computes something else with them.
        """
        self._refuse()
        if weight.shape != self.weight.shape:
            raise InputError(f"weights have shape {tuple(weight.shape)}: this head takes {tuple(self.weight.shape)}")
        self.weight.copy_(weight)
        if bias is not None:
            self.bias.copy_(bias)

    @torch.no_grad()
    def check_function(self, logits: Tensor, features: Tensor, weight: Tensor, bias: Tensor) -> None:
        """Compare with the classifier whose place this head is about to take: U keeps its function, or there is none.

        Args:
            logits: What the classifier says of some images, ``(B, K)``.
            features: The grid that this head will read for them, ``(B, D, h, w)``.
            weight: The classifier's weights, ``(K, D)``.
            bias: The classifier's biases, ``(K,)``.

        Raises:
            InputError: This head has the classifier's weights, and its logits are others.
        """
        if weight.shape != self.weight.shape:
            return
        kept = exact_linear(precise(spatial_average(self._checked(features))), precise(weight), precise(bias))
        off = (kept - logits).abs().max() / logits.abs().max().clamp_min(torch.finfo(kept.dtype).tiny)
        self._off = 0.0 if off <= TOLERANCE else float(off)
        if torch.equal(self.weight.to(weight), weight):
            self._refuse()

    def _refuse(self) -> None:
        if self._off:
            raise InputError(
                "EPIC keeps the function of classifiers that average their features and have one linear layer behind"
                f" it; this model does otherwise, as transformers that read a CLS token: its logits would change by"
                f" {self._off:.2g} of the largest one. Take another model, or train another head"
            )

    def forward(self, features: Tensor) -> Tensor:
        """Logits ``(B, K)``."""
        return exact_linear(spatial_average(self._checked(features)), self.weight, self.bias)

    def activations(self, features: Tensor) -> Tensor:
        """G, ``(B, D, h, w)``."""
        return precise(self.rotate(self._checked(features)))

    def unit_weights(self) -> Tensor:
        """W' = W U^-1, ``(K, D)``."""
        return exact_linear(precise(self.weight), self.rotate.inverse().T)

    def diagnostics(self) -> dict[str, float]:
        """How far U is from orthogonal, where that is its form."""
        return {} if self.form == "invertible" else {"orthogonality error": self.rotate.orthogonality_error()}

    def _contributions(self, features: Tensor, classes: Tensor) -> Tensor:
        return self._turned(classes) * exact_linear(spatial_average(features), self.rotate.matrix())  # avg G = U avg F

    def _terms(self, features: Tensor, classes: Tensor) -> Terms:
        turned, weights = self.activations(features), self._turned(classes)
        contributions, means = self._contributions(features, classes), spatial_average(turned)
        maps = (weights[:, :, None, None] * turned).sum(1) / (turned.shape[-2] * turned.shape[-1])
        return Terms(contributions, maps, (means.sign()[:, :, None, None] * turned).relu())

    def _turned(self, classes: Tensor) -> Tensor:
        """Rows of W', ``(B, D)``."""
        return exact_linear(precise(self.weight)[classes], self.rotate.inverse().T)

    def _bias(self) -> Tensor | None:
        return self.bias
