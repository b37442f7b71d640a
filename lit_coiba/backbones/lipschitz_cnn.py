"""timm's name of `LipschitzCNN`, so that commands, files and checkpoints build it like any other network."""

from __future__ import annotations

from typing import Any

from timm.models import build_model_with_cfg, register_model

from lit_coiba.lipschitz.network import LipschitzCNN

default_cfgs: dict[str, dict[str, Any]] = {
    "lipschitz_cnn": {
        "url": "",
        "num_classes": 1000,
        "input_size": (3, 64, 64),
        "fixed_input_size": True,  # the constant of the average depends on it
        "interpolation": "bicubic",
        "crop_pct": 1.0,
        "mean": (0.5, 0.5, 0.5),
        "std": (1.0, 1.0, 1.0),  # a constant of model input is one of pixels
        "first_conv": "stages.0.conv",
        "classifier": "fc",
    }
}


@register_model
def lipschitz_cnn(pretrained: bool = False, **kwargs: Any) -> LipschitzCNN:
    """Build `LipschitzCNN` as timm does."""
    return build_model_with_cfg(LipschitzCNN, "lipschitz_cnn", pretrained, **kwargs)
