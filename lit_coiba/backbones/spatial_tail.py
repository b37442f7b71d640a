"""The network above one layer as a function of that layer's activation in space: what class activation maps explain."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved


class SpatialTail:
    """Logits ``(B, K)`` as a function of an activation ``(B, C, h, w)``, whatever the layer's own layout.

    The network below the layer is run once, without gradients; prefix tokens (CLS, registers) keep their values.

    Args:
        model: The model, frozen.
        layer: The layer; None = `Network.cam_layer`.
        images: ``(B, 3, H, W)``.
    """

    def __init__(self, model: Network, layer: str | None, images: Tensor) -> None:
        self.path = model.split([layer or model.cam_layer()])
        self.grid = self.path.grids[0]
        self.state = self.path.lower(images)
        self.activation = self.grid.to_spatial(self.state.activation).detach()  # (B, C, h, w)

    @cached_property
    def _leaf(self) -> Tensor:
        return self.activation.clone().requires_grad_(True)

    @cached_property
    def logits(self) -> Tensor:
        """Logits ``(B, K)`` of the images, with gradients with respect to the activation."""
        return self(self._leaf)

    def gradient(self, targets: Resolved) -> Tensor:
        """Gradient of the targets' scores with respect to the activation, ``(B, C, h, w)``; can be asked for once."""
        return torch.autograd.grad(targets.score(self.logits).sum(), self._leaf)[0]

    def __call__(self, activation: Tensor) -> Tensor:
        """Logits ``(B, K)`` of `activation` ``(B, C, h, w)``, that of the images or another one for each."""
        placed = self.grid.with_spatial(self.state.activation, activation)
        return self.path.upper(self.state, lambda _, __: placed)
