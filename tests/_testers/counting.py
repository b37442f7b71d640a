"""A model that counts what runs through it."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class Counting(nn.Module):
    """A network, and the number of images that have run forward through it.

    Args:
        model: The network.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.images = 0

    def forward(self, images: Tensor) -> Any:
        self.images += len(images)
        return self.model(images)
