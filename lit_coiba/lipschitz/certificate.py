"""What a network can promise: around each image a ball within which its decision does not change."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.lipschitz.constant import LayerConstant, constant_of, input_factor, layer_constants, layers_of
from lit_coiba.lipschitz.radius import binary_radius, linear_head_radius, orthogonal_radius

TOLERANCE = 1e-3  # above 1, what constraints that are iterated leave


@dataclass(frozen=True)
class Certificate:
    """The certified radius of decisions of one network, from its weights and its preprocessing.

    Serrurier et al., HKR, 2021 (arXiv 2006.06520). The radius is the tightest of those in `radius` that the network
    allows: by the distances of the rows of its last linear layer, divided by the constant of all that is below it.

    Args:
        below: Constant of all layers below the last linear one, of images as model input.
        weight: Weight of the last linear layer ``(K, D)``, fp64; None = the network ends otherwise.
        factor: Factor of the preprocessing, see `input_factor`.

    Example:
        >>> Certificate(1.0, torch.eye(2), 4.0).radius(torch.tensor([[3.0, 1.0]]))
        tensor([0.3536])
    """

    below: float
    weight: Tensor | None
    factor: float

    @classmethod
    def of(cls, backbone: Any) -> Certificate:
        """The certificate of a network that is 1-Lipschitz: with TOLERANCE, each logit changes at most as model input.

        Args:
            backbone: A `Backbone`, or anything with its ``model`` and ``preprocessing``.

        Raises:
            InputError: A layer's constant is not known, or the network is not 1-Lipschitz.
        """
        model, preprocessing = backbone.model, backbone.preprocessing
        found = cls.measured(model, preprocessing)
        if not found.constant <= 1 + TOLERANCE:
            worst = largest_layer(model, preprocessing)
            raise InputError(
                f"{_title(backbone)} is not 1-Lipschitz: its constant is {found.constant:.4g}, and the largest layer,"
                f" {worst.name} ({worst.kind}), has {worst.constant:.4g}, so nothing is certified: give a network that"
                " LipschitzClassifier has trained"
            )
        return found

    @classmethod
    def measured(cls, model: nn.Module, preprocessing: Preprocessing) -> Certificate:
        """The same of any network whose layers' constants are known, however large they are.

        Raises:
            InputError: A layer's constant is not known.
        """
        layers = layers_of(model, preprocessing.size)
        last, weight = layers[-1].module, None
        if isinstance(last, nn.Linear):
            weight = last.weight.detach().double()
            del layers[-1]
        below = math.prod(constant_of(layer).constant for layer in layers)
        return cls(below, weight, input_factor(preprocessing))

    @property
    def constant(self) -> float:
        """The largest constant of a logit, of images as model input."""
        return self.below * (1.0 if self.weight is None else float(self.weight.norm(dim=1).max()))

    @property
    def pixel_constant(self) -> float:
        """The largest constant of a logit, of pixels in [0, 1]."""
        return self.constant * self.factor

    def radius(self, logits: Tensor) -> Tensor:
        """How far pixels in [0, 1] may move in L2 without another decision, ``(B, K)`` -> ``(B,)``.

        Rounding in the network's own precision, about 1e-6 of the logits, is not part of the promise.
        """
        pixels = self.below * self.factor
        if logits.shape[1] == 1:
            return binary_radius(logits[:, 0], self.pixel_constant)
        if self.weight is None:
            return orthogonal_radius(logits, pixels)
        return linear_head_radius(logits, self.weight.to(logits.device), pixels)

    def margin_constants(self, classes: Tensor, others: Tensor) -> Tensor:
        """How fast ``f_y - f_k`` changes at most with pixels in [0, 1], ``(B,)`` fp64, for classes y and k ``(B,)``."""
        pixels = self.below * self.factor
        if self.weight is None:
            return torch.full(classes.shape, math.sqrt(2) * pixels, dtype=torch.float64)
        weight = self.weight.to(classes.device)
        return (weight[classes] - weight[others]).norm(dim=1) * pixels


def largest_layer(model: nn.Module, preprocessing: Preprocessing) -> LayerConstant:
    """The layer with the largest constant; the last one counts with what lies below it and has no weights."""
    layers = {layer.name: layer.module for layer in layers_of(model, preprocessing.size)}
    constants = layer_constants(model, preprocessing.size)
    without = math.prod(one.constant for one in constants if not list(layers[one.name].parameters()))
    *others, last = [one for one in constants if list(layers[one.name].parameters())]
    return max([*others, last._replace(constant=last.constant * without)], key=lambda one: one.constant)


def _title(backbone: Any) -> str:
    arguments = getattr(backbone, "arguments", None) or {}
    return str(arguments.get("name") or type(backbone.model).__name__)
