"""BR-NPA: attention without parameters, and a linear classifier of the parts that it finds.

Gomez et al., "BR-NPA: A Non-Parametric High-Resolution Attention Model to improve the Interpretability of Attention",
2021 (arXiv 2106.02566).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.functional import Representatives, precise, representatives
from lit_coiba.heads.head import Head, Terms, at_least_one, exact_linear, exact_matmul

Evidence = Literal["contrast", "additive", "first"]


class BRNPAHead(Head):
    """Part vectors of `functional.representatives`, concatenated in the order of their activity, and a linear layer.

    Units are the parts, the most active first; part i adds W_c[block i] . v_i to the logit of c. The explanation is a
    reconstruction; it is exact, because all is linear in the vectors. The map of a part is its weights times the
    norm of the features, as the authors show it.

    Args:
        in_channels: Number of channels C of the features.
        num_classes: Number of classes K.
        parts: Number of parts N.
        refine: Whether a part's vector is averaged over similar positions; False: it is its seed's own feature
            (ablation of the paper).
        clamp: Whether negative similarities count as 0. No value changes if the backbone ends in a ReLU; elsewhere maps
            stay non-negative, where they could diverge. False = as in the authors' code.
        dropout: Probability that an entry of the concatenated vectors is dropped in training.
        bias: Whether the linear layer has a bias.
        evidence: The map of a class. ``additive``: what each position adds to the logit, sum_i w_ij W_c[block i] . x_j,
            signed, with v_i in place of x_j without `refine`; it sums to the logit without bias. ``contrast`` (our
            choice): the same with W_c less the mean over classes, for that is all that probabilities depend on. In a
            small trial of deletion and insertion it was far better than ``additive``, and as good as ``first``, the map
            of the most active part, which the authors evaluate, whatever the class.

    Raises:
        InputError: An argument that is out of range.

    Example:
        >>> head = BRNPAHead(8, num_classes=4, parts=3).eval()
        >>> head.explain(torch.rand(2, 8, 7, 7), targets=1).unit_maps.shape
        torch.Size([2, 3, 7, 7])
    """

    orderless = True

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        parts: int = 3,
        refine: bool = True,
        clamp: bool = True,
        dropout: float = 0.2,
        bias: bool = False,
        evidence: Evidence = "contrast",
    ) -> None:
        super().__init__(in_channels, num_classes)
        self.parts = at_least_one(parts, "parts")
        self.refine = refine
        self.clamp = clamp
        if not 0 <= dropout < 1:
            raise InputError(f"dropout is {dropout}: give a probability below 1")
        self.dropout = dropout
        self.bias = bias
        self.evidence: Evidence = check_choice(evidence, Evidence, "evidence")
        self.drop = nn.Dropout(dropout)
        self.classifier = nn.Linear(parts * in_channels, num_classes, bias)

    @property
    def units(self) -> int:
        """N."""
        return self.parts

    def forward(self, features: Tensor) -> Tensor:
        """Logits ``(B, K)``."""
        vectors = self.drop(self.extract(features).vectors.flatten(1))
        return exact_linear(vectors, self.classifier.weight, self._bias())

    def extract(self, features: Tensor) -> Representatives:
        """The parts, the most active first."""
        return representatives(self._checked(features), self.parts, self.refine, self.clamp)

    def activations(self, features: Tensor) -> Tensor:
        """Maps of the parts times the norm of the features, ``(B, N, h, w)``."""
        return self._shown(features, self.extract(features))

    def _contributions(self, features: Tensor, classes: Tensor) -> Tensor:
        return (self._blocks(classes) * self.extract(features).vectors).sum(-1)

    def _terms(self, features: Tensor, classes: Tensor) -> Terms:
        found, blocks = self.extract(features), self._blocks(classes)
        contributions = (blocks * found.vectors).sum(-1)
        shown = self._shown(features, found)
        if self.evidence == "first":
            return Terms(contributions, shown[:, 0], shown.relu())
        if self.evidence == "contrast":
            blocks = blocks - precise(self.classifier.weight).mean(0).view_as(blocks[0])
        if self.refine:
            values = exact_matmul(blocks, features.flatten(2)).view_as(found.maps)
        else:
            values = (blocks * found.vectors).sum(-1)[:, :, None, None]
        return Terms(contributions, (found.maps * values).sum(1), shown.relu())

    def _blocks(self, classes: Tensor) -> Tensor:
        """Weights of each part for classes ``(B,)``, ``(B, N, C)``."""
        return precise(self.classifier.weight)[classes].unflatten(1, (self.parts, self.in_channels))

    def _shown(self, features: Tensor, found: Representatives) -> Tensor:
        norms = torch.linalg.vector_norm(precise(features), dim=1, keepdim=True)
        return found.maps * norms

    def _bias(self) -> Tensor | None:
        bias: Tensor | None = self.classifier.bias
        return bias
