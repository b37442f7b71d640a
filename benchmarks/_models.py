"""The models that scripts measure on; those with real weights need the project's assets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from lit_coiba.backbones import Backbone
from lit_coiba.data import ImageFolder
from lit_coiba.data.transforms import Transform
from lit_coiba.resources import resource

ASSETS = Path(os.environ.get("LIT_COIBA_ASSETS", Path(__file__).parents[2] / "shared" / "assets"))


def efficientnet_lite0(assets: Path = ASSETS, **arguments: Any) -> Backbone:
    """EfficientNet-Lite0 with ImageNet's classes; `arguments` change its preprocessing."""
    half = (0.5, 0.5, 0.5)
    weights = str(assets / "models" / "tf_efficientnet_lite0.fp16.safetensors")
    return Backbone("tf_efficientnet_lite0", weights, mean=half, std=half, **arguments)


def caltech_vit(assets: Path = ASSETS) -> Backbone:
    """ViT-S/14 fine-tuned on Caltech-101, 12 x 12 patches."""
    weights = str(assets / "models" / "vit_small_patch14_caltech101.fp16.safetensors")
    return Backbone("vit_small_patch14_dinov2", weights, num_classes=101, image_size=168, crop_pct=1.0)


def synthetic_parts_cnn() -> Backbone:
    """The CNN for SyntheticParts that comes with the package, 64 pixels."""
    name = "synthetic_parts_cnn"
    arguments = yaml.safe_load(resource(f"configs/model/{name}.yaml").read_text())["model"]["backbone"]
    return Backbone(**{**arguments, "checkpoint": str(resource(f"checkpoints/{name}.safetensors"))})


def pictures(model: Backbone, count: int, folder: str = "caltech101/val") -> Tensor:
    """Images of the assets, evenly spaced over a folder, as model input."""
    data = ImageFolder(str(ASSETS / folder)).dataset("predict")
    chosen = [index * len(data.ids) // count for index in range(count)]
    return torch.stack([Transform(model.preprocessing)(data.image(index)) for index in chosen])
