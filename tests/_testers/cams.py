"""A network whose class activation map is known: feature maps, their means, and a linear classifier."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lit_coiba.backbones import Backbone
from tests._testers import tiny

LAYER = "0.2"
SIZE = 12


def averaging(dtype: torch.dtype = torch.float64) -> Backbone:
    """Two convolutions at the image's resolution, the second rectified, global average pooling, a linear classifier."""
    rectified = nn.Sequential(nn.Conv2d(6, 5, 3, padding=1), nn.ReLU())
    features = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.Tanh(), rectified)
    model = nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, tiny.CLASSES))
    tiny.randomise(model, 3)
    return Backbone.wrap(model.to(dtype).eval(), num_classes=tiny.CLASSES, image_size=SIZE)


def images(count: int = 3, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(5), dtype=dtype)


def features_and_weights(model: Backbone, images: Tensor) -> tuple[Tensor, Tensor]:
    """Feature maps ``(B, C, h, w)`` and the weights of the classifier ``(K, C)``."""
    with torch.no_grad():
        return model.model[0](images), model.model[3].weight.detach()


def peer_map(kind: str, model: nn.Module, layer: nn.Module, images: Tensor, target: int) -> Tensor:
    """The map of pytorch-grad-cam before it is scaled and resized, ``(B, h, w)``."""
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with getattr(pytorch_grad_cam, kind)(model=model, target_layers=[layer]) as cam:
        targets: list[Any] = [ClassifierOutputTarget(target)] * len(images)
        cam.outputs = outputs = cam.activations_and_grads(images)
        if cam.uses_gradients:
            sum(t(o) for t, o in zip(targets, outputs)).backward()
        activations = cam.activations_and_grads.activations[0].numpy()
        gradients = cam.activations_and_grads.gradients[0].numpy() if cam.uses_gradients else None
        raw = cam.get_cam_image(images, layer, targets, activations, gradients, False)
    return torch.from_numpy(raw)
