"""A warning that is given once, by whichever of the processes that read images has the reason for it."""

from __future__ import annotations

import torch

from lit_coiba.core.errors import warn


class Once:
    """One warning. The processes of a loader share the flag that says whether it was given."""

    def __init__(self) -> None:
        self._given = torch.zeros(1, dtype=torch.bool).share_memory_()

    def warn(self, text: str) -> None:
        """Give the warning, unless it was given."""
        if not self._given:
            self._given.fill_(True)
            warn(text, stacklevel=3)
