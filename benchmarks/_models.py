"""The models with real weights that scripts measure on; they need the project's assets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lit_coiba.backbones import Backbone

ASSETS = Path(os.environ.get("LIT_COIBA_ASSETS", "../shared/assets"))


def efficientnet_lite0(assets: Path = ASSETS, **arguments: Any) -> Backbone:
    """EfficientNet-Lite0 with ImageNet's classes; `arguments` change its preprocessing."""
    half = (0.5, 0.5, 0.5)
    weights = str(assets / "models" / "tf_efficientnet_lite0.fp16.safetensors")
    return Backbone("tf_efficientnet_lite0", weights, mean=half, std=half, **arguments)


def caltech_vit(assets: Path = ASSETS) -> Backbone:
    """ViT-S/14 fine-tuned on Caltech-101, 12 x 12 patches."""
    weights = str(assets / "models" / "vit_small_patch14_caltech101.fp16.safetensors")
    return Backbone("vit_small_patch14_dinov2", weights, num_classes=101, image_size=168, crop_pct=1.0)
