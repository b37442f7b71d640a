"""What every interpretable head does: features to logits, and each logit as a sum over units that lie in the image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from inspect import signature
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from lit_coiba.core.arguments import checks_arguments
from lit_coiba.core.errors import InputError
from lit_coiba.core.explanation import HeadExplanation
from lit_coiba.core.targets import Targets, resolve
from lit_coiba.functional import precise
from lit_coiba.functional.strongest import Score


class Terms(NamedTuple):
    """A decision, unit by unit."""

    contributions: Tensor  # (B, U) signed; with the class bias they sum to the target's logit
    maps: Tensor  # (B, h, w): where the evidence for the target lies
    unit_maps: Tensor  # (B, U, h, w): where each unit is


class Head(nn.Module, ABC):
    """Features on a grid ``(B, C, h, w)`` to logits ``(B, K)``, with its own explanation.

    Constructor arguments are plain values, so that YAML can set all of them, and are kept as attributes of their names.
    Sums are in float32 at least, also where features are bf16 or under autocast; float64 stays float64.

    Args:
        in_channels: Number of channels C of the features.
        num_classes: Number of classes K.

    Raises:
        InputError: Less than one channel or class.
    """

    score: ClassVar[Score] = "max"  # of a unit's map, by which its prototypes are ranked
    two_sided: ClassVar[bool] = False  # whether a unit's negative side is evidence too, and has prototypes
    orderless: ClassVar[bool] = False  # whether it takes any number of places in any order, as missing patches need

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.in_channels = at_least_one(in_channels, "in_channels")
        self.num_classes = at_least_one(num_classes, "num_classes")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        checks_arguments(cls)

    @property
    @abstractmethod
    def units(self) -> int:
        """U: channels or parts whose contributions sum to the logit."""

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """Logits ``(B, K)``."""

    @abstractmethod
    def activations(self, features: Tensor) -> Tensor:
        """Signed map of every unit, ``(B, U, h, w)``, whatever the class."""

    def explain(self, features: Tensor, targets: Targets = None, top: int = 8) -> HeadExplanation:
        """Explain the logit of a class, as it is in evaluation mode, whatever the mode: no dropout, no random draw.

        Args:
            features: ``(B, C, h, w)``.
            targets: Classes ``(B,)``, or one for all; a `Class`, or what it was resolved to; None: the predicted class.
            top: Units of largest absolute contribution to give with their maps; all where there are fewer.

        Raises:
            InputError: Features or targets that do not fit the head.
        """
        at_least_one(top, "top")
        with torch.no_grad():
            contributions, maps, unit_maps = self._terms(features, self._classes(features, targets))
            units = contributions.abs().sort(dim=1, descending=True, stable=True).indices[:, :top]
            rows = torch.arange(len(units), device=units.device).unsqueeze(1)
            return HeadExplanation(contributions, maps, units, unit_maps[rows, units])

    def contributions(self, features: Tensor, targets: Targets = None) -> Tensor:
        """What each unit adds to the logit of the target in evaluation mode, ``(B, U)``; arguments as in `explain`."""
        return self._contributions(features, self._classes(features, targets))

    def bias_of(self, targets: Tensor) -> Tensor:
        """What the logits of classes `targets` ``(B,)`` have besides contributions, ``(B,)``; 0 without bias."""
        bias = self._bias()
        if bias is None:
            return torch.zeros(targets.shape, device=targets.device)
        return precise(bias)[targets]

    def unit_weights(self) -> Tensor | None:
        """What one of each unit's value adds to each logit, ``(K, U)``; None where that is not one number."""
        return None

    def constrain(self) -> None:
        """Project the weights onto the constraint set; to be called after each step of an optimizer."""
        return

    def anneal(self, progress: float) -> None:
        """Set what changes in the course of a training; `progress` runs from 0 to 1."""
        return

    def diagnostics(self) -> dict[str, float]:
        """Measures of whether the head meets its constraints, by name; they are logged after each epoch."""
        return {}

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments of this instance."""
        return {name: getattr(self, name) for name in signature(type(self)).parameters}

    def extra_repr(self) -> str:
        """The arguments, for `print`."""
        return ", ".join(f"{name}={value!r}" for name, value in self.arguments().items())

    @abstractmethod
    def _contributions(self, features: Tensor, classes: Tensor) -> Tensor:
        """`contributions` for classes ``(B,)`` that are known to be right."""

    @abstractmethod
    def _terms(self, features: Tensor, classes: Tensor) -> Terms:
        """All that `explain` chooses from."""

    @abstractmethod
    def _bias(self) -> Tensor | None:
        """Per class ``(K,)``."""

    def _checked(self, features: Tensor) -> Tensor:
        if features.dim() != 4 or features.shape[1] != self.in_channels:
            raise InputError(
                f"features have shape {tuple(features.shape)}: this head takes (B, {self.in_channels}, h, w)"
            )
        return features

    def _classes(self, features: Tensor, targets: Targets) -> Tensor:
        found = resolve(targets, self._checked(features), self.num_classes, lambda: self(features))
        return found.classes(type(self).__name__)


def exact_matmul(first: Tensor, second: Tensor) -> Tensor:
    """``first @ second`` in the wider dtype of both, float32 at least, also under autocast."""
    dtype = torch.promote_types(precise(first).dtype, second.dtype)
    with torch.autocast(first.device.type, enabled=False):
        return first.to(dtype) @ second.to(dtype)


def exact_linear(values: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``values @ weight.T + bias`` as by `exact_matmul`."""
    product = exact_matmul(values, weight.T)
    return product if bias is None else product + bias.to(product)


def at_least_one(value: int, name: str) -> int:
    """`value`, a count.

    Raises:
        InputError: It is less than 1.
    """
    if value < 1:
        raise InputError(f"{name} is {value}: give 1 or more")
    return value
