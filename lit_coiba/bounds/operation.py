"""The interface of one step of a network for bound propagation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from lit_coiba.bounds.box import Box


class Operation(ABC):
    """One step, from one or two activations to one.

    `forward` is interval arithmetic. `backward` carries linear functions of the output over to the inputs: for each row
    ``a`` of coefficients, ``a . output <= sum over inputs of a_i . input_i + offset`` all over the input boxes, with
    equality where the step is affine.
    """

    affine: ClassVar[bool] = True  # `backward` needs no more of the inputs than their shapes
    merged: ClassVar[bool] = True  # an affine one through which rows become tighter, at no great cost

    @abstractmethod
    def forward(self, *inputs: Box) -> Box:
        """A box that contains the outputs of all points of the input boxes, ``(N, ...)``."""

    @abstractmethod
    def backward(self, rows: Tensor, inputs: Sequence[Box], shapes: Sequence[Sequence[int]]) -> Carried:
        """Rows ``(N, R, *output)`` as rows of the inputs.

        Args:
            rows: Coefficients of the output.
            inputs: Boxes of the inputs; empty for an affine step.
            shapes: Shapes of the inputs, without N.
        """


Carried = tuple[tuple[Tensor, ...], Tensor | None]  # rows (N, R, *input) of each input, and offset (N, R) if any
