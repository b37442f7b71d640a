"""Vision transformers without some of their patches: the tokens are absent, not painted over."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lit_coiba.core.errors import InputError


class TokenDropping:
    """Runs a vision transformer on some of its patches."""

    grid: tuple[int, int]

    @classmethod
    def of(cls, model: Any) -> TokenDropping:
        """Token dropping of a model.

        Raises:
            InputError: The model cannot drop tokens.
        """
        raise InputError(
            "baseline is tokens, but this model cannot drop tokens: choose zero, black, mean, blur, noise, uniform,"
            " opposite, minimum or a number"
        )

    def embed(self, images: Tensor) -> Tensor:
        """Tokens of images, ``(B, T, D)``."""
        raise NotImplementedError

    def run(self, tokens: Tensor, kept: Tensor) -> Any:
        """Output of the model for the tokens that are kept, ``(B, h * w)`` bool."""
        raise NotImplementedError
