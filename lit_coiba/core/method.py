"""The verb of every attribution method, and what one wants to know of a method before running it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from inspect import signature
from typing import Any, ClassVar, Literal, NamedTuple

from torch import Tensor

from lit_coiba.core.explanation import Explanation
from lit_coiba.core.network import Network

Need = Literal["gradients", "attention", "layer", "modules", "statistics", "head", "package"]
Family = Literal["CNN", "ViT", "Swin"]


class Card(NamedTuple):
    """What a user wants to know of a method before running it; ``lit-coiba methods`` shows it."""

    paper: str  # authors, title, year, number at arXiv; empty for a floor that nobody published
    cost: str  # images that run forward, and backward, through the model for one map
    needs: tuple[Need, ...] = ()  # of the model, beyond logits
    families: tuple[Family, ...] = ("CNN", "ViT", "Swin")
    class_dependent: bool = True
    baseline: bool = False  # a floor for comparisons, not an explanation


class AttributionMethod(ABC):
    """One attribution method.

    Constructor arguments are plain values, so that YAML can set all of them, and are kept as attributes of their names.
    """

    card: ClassVar[Card] = Card("", "not stated")
    excluded_from_identity: ClassVar[frozenset[str]] = frozenset({"chunk"})  # arguments that do not decide the maps

    def prepare(self, model: Network, loader: Iterable[Any]) -> None:
        """Get from data what the method needs (activation statistics); most methods need nothing.

        Args:
            model: The model that will be explained.
            loader: Any iterable of image tensors, ``(images, ...)`` tuples or `Batch`; or one tensor ``(B, 3, H, W)``.
        """
        return

    @abstractmethod
    def explain(self, model: Network, images: Tensor, targets: Tensor | int | None = None) -> Explanation:
        """Explain `images` ``(B, 3, H, W)`` for `targets` ``(B,)``, or one for all; None: the predicted class."""

    def attribute(self, model: Network, images: Tensor, targets: Tensor | int | None = None) -> Tensor:
        """Maps ``(B, h, w)`` alone."""
        return self.explain(model, images, targets).maps

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.arguments().items())
        return f"{type(self).__name__}({given})"

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments of this instance."""
        return {name: getattr(self, name) for name in signature(type(self)).parameters}

    def identity(self) -> dict[str, Any]:
        """What decides the explanations, as plain values: the arguments, and the content of a file for its path."""
        return {name: value for name, value in self.arguments().items() if name not in self.excluded_from_identity}
