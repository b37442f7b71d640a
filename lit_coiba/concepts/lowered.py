"""Images, run once up to the concepts' layer: what all that is done above it begins with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lit_coiba.concepts.concept_network import ConceptNetwork
from lit_coiba.core.batched_evaluator import BatchedEvaluator
from lit_coiba.core.network import SplitNetwork, State
from lit_coiba.core.targets import select_output


@dataclass(frozen=True, eq=False)
class Lowered:
    """The state of B images at the layer, and their coefficients there."""

    network: ConceptNetwork
    path: SplitNetwork  # the model from the layer on
    state: State
    coefficients: Tensor  # (B, r, h, w)

    @classmethod
    def of(cls, network: ConceptNetwork, images: Tensor) -> Lowered:
        """Run images ``(B, 3, H, W)``; the model is frozen."""
        path = network.model.split([network.layer])
        with torch.no_grad():
            parts = [path.lower(images[rows]) for rows in _pieces(images)]
            activation = torch.cat([part.activation for part in parts])
            shared = all(part.activation is part.stream for part in parts)
            state = State(activation if shared else torch.cat([part.stream for part in parts]), activation)
            return cls(network, path, state, network.coefficients(activation))

    def __len__(self) -> int:
        return len(self.coefficients)

    def take(self, rows: Tensor | slice) -> Lowered:
        """Some of the images."""
        return Lowered(self.network, self.path, self.state.rows(rows), self.coefficients[rows])  # type: ignore[arg-type]

    def logits(self, evaluator: BatchedEvaluator) -> Tensor:
        """What the model says of the images, ``(B, K)``, without gradients."""

        def some(_: slice, rows: slice) -> Tensor:
            return select_output(self.path.upper(self.state.rows(rows), lambda _, own: own))[None]

        with torch.no_grad():
            return evaluator.gather(self.state.stream, 1, some)[0]


def _pieces(images: Tensor) -> list[slice]:
    """As many images at once as suit the device."""
    return [rows for rows in BatchedEvaluator().rows(images)]
