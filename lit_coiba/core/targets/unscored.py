"""What a method is given that looks at no target: a row for each image, of which nothing can be asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.targets.resolved import Resolved


@dataclass(frozen=True, eq=False)
class Unscored(Resolved):
    """Rows without a target, for which nothing had to be chosen, so no model was run."""

    def score(self, out: Any) -> Tensor:
        """Refused: see `_refuse`."""
        self._refuse()

    def fidelity(self, out: Any) -> Tensor:
        """Refused: see `_refuse`."""
        self._refuse()

    def linear(self) -> tuple[Tensor, Tensor]:
        """Refused: see `_refuse`."""
        self._refuse()

    def classes(self, asker: str) -> Tensor:
        """Refused: see `_refuse`."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        """What to do.

        Raises:
            InputError: Always.
        """
        raise InputError(
            "the method's card says that it uses no target, but the method asks for one: set class_dependent=True"
        )


def unscored_rows(count: int, device: torch.device) -> Unscored:
    """A row for each of `count` images.

    Example:
        >>> len(unscored_rows(2, torch.device("cpu")))
        2
    """
    none = torch.full((count,), -1, device=device)
    return Unscored(
        image=torch.arange(count, device=device),
        index=none,
        against=none,
        name=("",) * count,
        clean=torch.full((count,), torch.nan, device=device),
    )
