"""A concept of a class, such as CRAFT finds, as what an image is optimized for."""

from __future__ import annotations

from typing import Any

from lit_coiba.concepts.concepts import Concepts
from lit_coiba.core.errors import InputError, check_count
from lit_coiba.feature_visualization.objectives.direction import Direction
from lit_coiba.feature_visualization.objectives.objective import Objective, Score
from lit_coiba.feature_visualization.seen import Seen


class ConceptObjective(Objective):
    """The dot product with a concept at its layer, averaged over space, times their cosine, as MACO's authors draw it.

    The cosine is clamped at 0.1, so that an image which begins on the other side comes over (`Direction`).

    Args:
        concepts: The concepts of a class.
        concept: Number of one of them.

    Raises:
        InputError: There is no such concept.
    """

    def __init__(self, concepts: Concepts, concept: int) -> None:
        check_count(0, concept=concept)
        if concept >= len(concepts):
            raise InputError(f"concept {concept} does not exist: give 0 to {len(concepts) - 1}")
        self.concepts, self.concept = concepts, concept
        vector = concepts.dictionary[concept].tolist()
        self._direction = Direction(concepts.about.layer, vector, cosine_power=1.0, label=self.name)

    @property
    def layers(self) -> tuple[str, ...]:
        """The layer of the concepts."""
        return self._direction.layers

    @property
    def name(self) -> str:
        """Class and number."""
        return f"class {self.concepts.about.cls}, concept {self.concept}"

    def bind(self, model: Any, start: Seen) -> Score:
        """See `Objective.bind`; concepts of another model are refused."""
        self.concepts.check(model)
        return self._direction.bind(model, start)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.concepts.about.layer!r})"
