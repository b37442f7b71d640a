"""One matrix that turns the channels of every position, and its exact inverse."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.functional import precise
from lit_coiba.heads.head import at_least_one

Form = Literal["orthogonal", "invertible"]
Parametrization = Literal["auto", "exponential", "cayley"]


class Rotation(nn.Module):
    """J = U F at every position, U orthogonal (InfoDisent, arXiv 2409.10329) or invertible (EPIC, arXiv 2505.12897).

    The free matrix A starts at zero, hence U at the identity. With S = A - A^T, ``exponential`` is U = exp(S), as in
    EPIC's public code, and ``cayley`` U = (I - S/2)^-1 (I + S/2), which agrees with it to second order in S, so that a
    learning rate means the same; it reaches every rotation but those that turn a direction by exactly 180 degrees. The
    invertible form is U = exp(A). ``auto`` is ``cayley`` for orthogonal matrices, by measurement: one evaluation with
    its gradient, one CPU thread, float32, at widths 320, 384, 768, 1280 and 2048 takes 0.01, 0.03, 0.07, 0.24 and 1.6
    s, against 0.14, 0.24, 1.8, 5.8 and 36 s for ``exponential``.

    U is computed in float32 at least, also under autocast; the product J is what autocast makes of a linear layer. In
    evaluation mode U is kept while A stays as it is, unless a gradient to A is asked for.

    Args:
        channels: Number of channels D.
        form: Form of the matrix U.
        parametrization: Function that makes U from A.

    Raises:
        InputError: The Cayley transform of a matrix that is not skew-symmetric, which need not exist.

    Example:
        >>> rotation, features = Rotation(4), torch.rand(2, 4, 7, 7)
        >>> torch.equal(rotation(features), features)
        True
    """

    def __init__(self, channels: int, form: Form = "orthogonal", parametrization: Parametrization = "auto") -> None:
        super().__init__()
        self.channels = at_least_one(channels, "channels")
        self.form: Form = check_choice(form, Form, "form")
        self.parametrization: Parametrization = check_choice(parametrization, Parametrization, "parametrization")
        if form == "invertible" and parametrization == "cayley":
            raise InputError(
                "parametrization is 'cayley', which is for orthogonal matrices: take 'exponential' or 'auto'"
            )
        self.generator = nn.Parameter(torch.zeros(channels, channels))  # A
        self._kept: tuple[Tensor, Tensor] | None = None  # a copy of A, and its U

    def forward(self, features: Tensor) -> Tensor:
        """Rotated features ``(B, D, h, w)``."""
        matrix = self.matrix()
        dtype = torch.promote_types(features.dtype, matrix.dtype)
        return linear(features.to(dtype).movedim(1, -1), matrix.to(dtype)).movedim(-1, 1)

    def matrix(self) -> Tensor:
        """U, ``(D, D)``, float32 at least."""
        free = self.generator
        if self.training or (torch.is_grad_enabled() and free.requires_grad):
            return self._matrix_of(free)
        kept = self._kept
        # Compared by value, at the cost of reading A once: what writes through `.data` leaves no trace in its version.
        if kept is None or kept[0].dtype != free.dtype or kept[0].device != free.device or not kept[0].equal(free):
            with torch.inference_mode(False), torch.no_grad():  # tensors that autograd may keep
                copy = free.clone()
                self._kept = kept = (copy, self._matrix_of(copy))
        return kept[1]

    def inverse(self) -> Tensor:
        """U^-1, ``(D, D)``: U^T, or exp(-A)."""
        return self.matrix().T if self.form == "orthogonal" else self._matrix_of(-self.generator)

    def no_weight_decay(self) -> set[str]:
        """Decay would pull A, and so U, back to the identity."""
        return {"generator"}

    def orthogonality_error(self) -> float:
        """Largest absolute entry of U^T U - I."""
        with torch.no_grad(), torch.autocast(self.generator.device.type, enabled=False):
            matrix = self.matrix()
            return (matrix.T @ matrix - torch.eye(self.channels).to(matrix)).abs().max().item()

    def extra_repr(self) -> str:
        """The arguments, for `print`."""
        return f"{self.channels}, form={self.form!r}, parametrization={self.parametrization!r}"

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_kept": None}

    def _matrix_of(self, free: Tensor) -> Tensor:
        with torch.autocast(free.device.type, enabled=False):
            free = precise(free)
            if self.form == "invertible":
                return torch.linalg.matrix_exp(free)
            skew = free - free.T
            if self.parametrization == "exponential":
                matrix = torch.linalg.matrix_exp(skew)
                # One Newton step: rounding leaves U^T U 2e-4 off the identity at width 2048, and 1e-6 after it.
                return 1.5 * matrix - 0.5 * matrix @ (matrix.T @ matrix)
            identity = torch.eye(self.channels, dtype=free.dtype, device=free.device)
            return torch.linalg.solve_ex(identity - skew / 2, identity + skew / 2).result  # never singular
