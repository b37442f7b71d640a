"""The same curves by Quantus and torch-cam, where they are installed."""

from __future__ import annotations

import importlib
from contextlib import nullcontext
from importlib.util import find_spec
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from lit_coiba.backbones import Backbone


def flipped(model: Backbone, images: Tensor, targets: Tensor, maps: Tensor, step: int) -> Tensor:
    """Quantus' curve without the clean image ``(B, K)``, to zeros by `step` whole pixels.

    Its check of the step, which forgets the channels, is left out: whole pixels of three channels do not pass it.
    """
    quantus = importlib.import_module("quantus")
    flipping = quantus.PixelFlipping(
        features_in_step=images.shape[1] * step,
        perturb_baseline=0.0,
        **{"abs": False, "normalise": False, "disable_warnings": True, "display_progressbar": False},
    )
    called = {"softmax": True, "device": "cpu", "batch_size": len(images)}
    with mock.patch("quantus.helpers.asserts.assert_features_in_step"):
        found = flipping(model, images.numpy(), targets.numpy(), maps[:, None].numpy(), **called)
    return torch.tensor(np.array(found))


def torchcam_areas(model: Backbone, images: Tensor, targets: Tensor, maps: Tensor, steps: int) -> Tensor:
    """Mean areas of torch-cam's deletion and insertion ``(2,)``, of maps that are there."""
    metric = importlib.import_module("torchcam.metrics").DeletionInsertionMetric(
        Given(model, maps), lambda logits: logits.softmax(-1), steps=steps
    )
    metric.update(images, targets.tolist())
    return torch.tensor([metric.summary()[name] for name in ("deletion_auc", "insertion_auc")])


class Given:
    """What torch-cam takes maps from: they are there already, and cost nothing."""

    def __init__(self, model: nn.Module, maps: Tensor) -> None:
        self.model = model
        self._maps = maps

    def __call__(self, class_idx: Any = None, scores: Any = None, **more: Any) -> list[Tensor]:
        """The maps, of one layer."""
        return [self._maps]

    def fuse_cams(self, cams: list[Tensor]) -> Tensor:
        """The maps."""
        return cams[0]

    def _hooks_off(self) -> nullcontext[None]:
        return nullcontext()


def installed(name: str) -> bool:
    """Whether a package can be compared with; says so where it cannot."""
    if find_spec(name) is None:
        print(f"{name} is not installed: it is left out")
        return False
    return True
