"""One concept of a network that ends in concepts as what is explained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.targets.resolved import Resolved
from lit_coiba.core.targets.selection import OutputPath, select_output
from lit_coiba.core.targets.target import Target
from lit_coiba.functional import precise

_SCORES = "use a method that explains scores, such as Saliency, GradCAM, RISE or Occlusion"


@dataclass(frozen=True)
class Concept(Target):
    """The coefficient of one concept of each image, in the output of a `lit_coiba.concepts.ConceptNetwork`.

    Args:
        index: Number of the concept, or ``strongest``: the one with the largest coefficient in the image.
        output: Path to the coefficients where the model returns more than one tensor; see `select_output`.

    Raises:
        InputError: The index is negative, or neither a number nor ``strongest``.

    Example:
        >>> Concept("strongest").resolve(torch.tensor([[0.0, 2.0, 1.0]])).index
        tensor([1])
    """

    kind: ClassVar[str] = "concept"

    index: int | Literal["strongest"] = "strongest"
    output: OutputPath = None

    def __post_init__(self) -> None:
        number = isinstance(self.index, int) and not isinstance(self.index, bool)
        if self.index != "strongest" and not (number and int(self.index) >= 0):
            raise InputError(f"index is {self.index!r}: give the number of a concept, 0 or more, or strongest")

    def check(self, num_classes: int, names: Sequence[str] | None = None) -> None:
        """See `Target.check`; `num_classes` is the number of concepts.

        Raises:
            InputError: There is no such concept.
        """
        if isinstance(self.index, int) and self.index >= num_classes:
            raise InputError(
                f"targets: concept {self.index} does not exist, since the model has concepts 0 to {num_classes - 1}"
            )

    def resolve(self, out: Any, labels: Tensor | None = None, names: Sequence[str] = ()) -> ResolvedConcept:
        """See `Target.resolve`; images whose coefficients are not finite have no row."""
        found = precise(select_output(out, self.output)).detach()
        if found.dim() != 2:
            raise InputError(
                f"the model returns {tuple(found.shape)}, and a concept target needs coefficients (B, r): explain the"
                " network that Concepts.network(model) gives"
            )
        self.check(found.shape[1])
        whole = found.isfinite().all(1)
        image = whole.nonzero().flatten()
        index = torch.full_like(image, self.index) if isinstance(self.index, int) else found[image].argmax(1)
        why = "its coefficients are not finite: check the weights and the normalization"
        resolved = ResolvedConcept(
            image=image,
            index=index,
            against=torch.full_like(index, -1),
            name=tuple(f"concept {i}" for i in index.tolist()),
            clean=found.new_empty(0),
            reasons={i: why for i in (~whole).nonzero().flatten().tolist()},
            output=self.output,
        )
        return replace(resolved, clean=found[image, index])


@dataclass(frozen=True, eq=False)
class ResolvedConcept(Resolved):
    """A concept per row."""

    output: OutputPath = None

    def score(self, out: Any) -> Tensor:
        """The concept's coefficient, ``(R,)``."""
        return precise(select_output(out, self.output)).gather(-1, self.index.unsqueeze(-1)).squeeze(-1)

    def fidelity(self, out: Any) -> Tensor:
        """Refused: a coefficient has no likelihood.

        Raises:
            InputError: Always.
        """
        raise InputError(f"the target is a concept, whose coefficient has no loss in nats: {_SCORES}")

    def linear(self) -> tuple[Tensor, Tensor]:
        """Refused: nothing says when a coefficient is overturned.

        Raises:
            InputError: Always.
        """
        raise InputError(f"the target is a concept, for which there are no verified bounds: {_SCORES}")
