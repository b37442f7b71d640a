"""The score of a class as a function of concepts: the network above a layer, on what the concepts reconstruct."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lit_coiba.concepts.lowered import Lowered
from lit_coiba.core.batched_evaluator import BatchedEvaluator
from lit_coiba.core.network import State
from lit_coiba.core.targets import Resolved


class Derivatives(NamedTuple):
    """What small changes of the concepts of B images do to the scores."""

    coefficients: Tensor  # (B, r): d score / d coefficient, summed over places
    masks: Tensor  # (B, r): d score / d mask, at masks of 1


class MaskedConcepts:
    """Scores of images whose activations are made of their concepts alone, each multiplied by a mask.

    Prefix tokens (CLS, registers) keep their values. What the concepts do not reconstruct is left out.

    Args:
        lowered: The images at the layer of the concepts; the model is frozen.
        targets: A row for each image.
        evaluator: Decides how many masked copies run at once.
    """

    def __init__(self, lowered: Lowered, targets: Resolved, evaluator: BatchedEvaluator) -> None:
        self._network, self._path, self._state = lowered.network, lowered.path, lowered.state
        self._targets, self._evaluator = targets, evaluator
        self.coefficients = lowered.coefficients  # (B, r, h, w)

    def score(self, masks: Tensor) -> Tensor:
        """Scores ``(k, B)`` under masks ``(k, B, r)``, without gradients."""

        def some(copies: slice, rows: slice) -> Tensor:
            chosen = masks[copies, rows].to(self.coefficients)
            masked = chosen[..., None, None] * self.coefficients[rows]  # (k, b, r, h, w)
            count = rows.stop - rows.start
            targets = self._targets.take(rows).recounted().repeat(len(chosen))
            state = self._state.rows(rows).repeat(len(chosen))
            spatial = self._network.reconstructed(masked.flatten(0, 1))
            return self._above(state, spatial, targets).unflatten(0, (len(chosen), count))

        with torch.no_grad():
            return self._evaluator.gather(self._state.stream, len(masks), some)

    def derivatives(self) -> Derivatives:
        """Derivatives of the scores where all concepts are there, ``(B, r)`` each."""
        dictionary = self._network.dictionary

        def some(_: slice, rows: slice) -> tuple[Tensor, Tensor]:
            coefficients = self.coefficients[rows]
            activation = self._network.reconstructed(coefficients).detach().requires_grad_()
            targets = self._targets.take(rows).recounted()
            with torch.enable_grad():
                score = self._above(self._state.rows(rows), activation, targets).sum()
                (gradient,) = torch.autograd.grad(score, activation)
            by_place = torch.einsum("bchw,rc->brhw", gradient.to(dictionary), dictionary)
            return by_place.sum((2, 3))[None], (by_place * coefficients).sum((2, 3))[None]

        found = self._evaluator.gather(self._state.stream, 1, some)
        return Derivatives(found[0][0], found[1][0])

    def _above(self, state: State, spatial: Tensor, targets: Resolved) -> Tensor:
        """Scores of activations ``(n, c, h, w)``, one for each row of `targets`."""
        activation = self._path.grids[0].with_spatial(state.activation, spatial.to(state.activation))
        return targets.score(self._path.upper(state, lambda _, __: activation))
