"""Small modules with one step that methods which follow a network have to look at."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


class Called(nn.Module):
    """A function as a module, with arguments behind its input."""

    def __init__(self, function: Callable[..., torch.Tensor], *arguments: Any) -> None:
        super().__init__()
        self.function, self.arguments = function, arguments

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x, *self.arguments)


class Overwriting(nn.Module):
    """An activation that, if it writes in place, changes what the sum behind it reads again; images of 8 x 8 pixels."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.conv, self.activation, self.head = nn.Conv2d(3, 4, 3), activation, nn.Linear(4 * 36, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        return self.head((self.activation(x) + x).flatten(1))
