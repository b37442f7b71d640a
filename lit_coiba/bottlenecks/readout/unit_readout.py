"""The network of Readout IBA: ratios of all units of one layer, read out of the features of several.

Schulz, Sixt, Tombari and Landgraf, "Restricting the Flow: Information Bottlenecks for Attribution", 2020 (arXiv
2001.00396).
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from lit_coiba.functional import precise
from lit_coiba.functional.inward_clamp import inward_clamp

Variant = Literal["A", "B"]
VARIANTS = get_args(Variant)

BOUND, START = 5.0, 5.0  # of the logits: where they are clamped, and where they begin
_SCALE = 1e-3  # of the last layer's first weights


class UnitReadout(nn.Module):
    """Three 1 x 1 convolutions with ReLU between them, as linear maps of positions.

    Their values are clamped, as the authors' are; here a value beyond a bound can be trained back (`inward_clamp`).

    Args:
        channels: Channels of all features together.
        units: Channels of the bottleneck layer.
        variant: Widths inside: ``A``, a quarter of `units` twice; ``B``, half of `channels`, then twice `units`.
    """

    def __init__(self, channels: int, units: int, variant: Variant = "B") -> None:
        super().__init__()
        first, second = (max(1, units // 4),) * 2 if variant == "A" else (max(1, channels // 2), 2 * units)
        self.first, self.second = nn.Linear(channels, first), nn.Linear(first, second)
        self.last = nn.Linear(second, units)
        with torch.no_grad():
            self.last.weight.mul_(_SCALE)
        nn.init.constant_(self.last.bias, START)

    def forward(self, features: Tensor) -> Tensor:
        """Logits of the ratios ``(B, positions, units)``, in fp32 at least, of features ``(B, positions, C)``."""
        values: Tensor = self.last(self.second(self.first(features).relu()).relu())
        return inward_clamp(precise(values), -BOUND, BOUND)
