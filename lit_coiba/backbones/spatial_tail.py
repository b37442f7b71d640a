"""The network above one layer as a function of that layer's activation in space: what class activation maps explain."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lit_coiba.core.images import Output, class_scores, class_targets
from lit_coiba.core.network import Network


class SpatialTail(nn.Module):
    """Logits ``(B, K)`` as a function of an activation ``(B, C, h, w)``, whatever the layer's own layout.

    What lies below the layer is run once, without gradients; prefix tokens (CLS, registers) keep their values.

    Args:
        model: The model, frozen.
        layer: The layer; None = `Network.cam_layer`.
        images: ``(B, 3, H, W)``.
    """

    def __init__(self, model: Network, layer: str | None, images: Tensor) -> None:
        super().__init__()
        self.num_classes = model.num_classes
        self.path = model.split([layer or model.cam_layer()])
        self.grid = self.path.grids[0]
        self.state = self.path.lower(images)
        self.spatial = nn.Identity()  # the layer as libraries know layers: a module
        self.activation = self.grid.to_spatial(self.state.activation).detach()  # (B, C, h, w)

    def classes(self, targets: Tensor | int | None) -> Tensor:
        """A class for each image, ``(B,)``; where none is given the predicted one, by the network above the layer."""
        return class_targets(targets, self.activation, self.num_classes, lambda: self(self.activation))

    def gradient(self, targets: Tensor, output: Output) -> Tensor:
        """Of the targets' scores with respect to the activation of the images, ``(B, C, h, w)``."""
        activation = self.activation.clone().requires_grad_(True)
        return torch.autograd.grad(class_scores(self(activation), targets, output).sum(), activation)[0]

    def forward(self, activation: Tensor) -> Tensor:
        """Logits ``(B, K)`` of `activation` ``(B, C, h, w)``, that of the images or another one for each."""
        placed = self.grid.with_spatial(self.state.activation, self.spatial(activation))
        return self.path.upper(self.state, lambda _, __: placed)
