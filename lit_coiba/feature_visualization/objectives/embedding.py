"""A point in the space of a model's features as what an image is optimized for."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.core.targets import OutputPath, select_output
from lit_coiba.feature_visualization.objectives.direction import check_vector
from lit_coiba.feature_visualization.objectives.objective import Objective, Score
from lit_coiba.feature_visualization.seen import Seen
from lit_coiba.functional import precise

Measure = Literal["cosine", "dot"]
Source = Literal["features", "output"]


class Embedding(Objective):
    """How near the embedding of the image is to a given one.

    Args:
        vector: The given embedding.
        measure: ``cosine``, or ``dot`` for the dot product.
        source: Embedding that is compared: ``features`` = the model's features averaged over space; ``output`` = what
            the model returns, if it has no classifier.
        output: Path to the embedding where the model returns more than one tensor; see `select_output`.
        label: Name of the embedding, for pictures.

    Raises:
        InputError: The vector is zero.

    Example:
        >>> Embedding([0.0, 1.0]).name
        'an embedding'
    """

    def __init__(
        self,
        vector: list[float],
        measure: Measure = "cosine",
        source: Source = "features",
        output: OutputPath = None,
        label: str = "",
    ) -> None:
        check_vector(vector)
        check_choice(measure, Measure, "measure")
        check_choice(source, Source, "source")
        self.vector, self.measure, self.source = list(vector), measure, source
        self.output, self.label = output, label

    @property
    def name(self) -> str:
        """The label, if it has one."""
        return self.label or "an embedding"

    def bind(self, model: Any, start: Seen) -> Score:
        """See `Objective.bind`."""
        width = self._of(start).shape[-1]
        if len(self.vector) != width:
            raise InputError(
                f"vector has {len(self.vector)} numbers, and the {self.source} of the model {width}: give as many"
            )
        vector = torch.tensor(self.vector, dtype=torch.float64)

        def score(seen: Seen, rows: slice) -> Tensor:
            values = self._of(seen)[rows]
            wanted = vector.to(values)
            return values @ wanted if self.measure == "dot" else cosine_similarity(values, wanted.unsqueeze(0), dim=-1)

        return score

    def _of(self, seen: Seen) -> Tensor:
        """The embeddings ``(R, C)``."""
        found = precise(seen.features if self.source == "features" else select_output(seen.output, self.output))
        if found.dim() != 2:
            raise InputError(
                f"the {self.source} of the model is of shape {tuple(found.shape)}: choose an output (B, C)"
            )
        return found
