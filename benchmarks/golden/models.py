"""The small models and the images that golden numbers are computed on."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.golden.api import Backbone, Explainer, HeadAttribution, SyntheticParts, Transform
from benchmarks.golden.numbers import Case

CHECKPOINTS = Path(__file__).parents[2] / "checkpoints"
CLASSES = 20
HALF = (0.5, 0.5, 0.5)
COMMON: dict[str, Any] = {"num_classes": CLASSES, "image_size": 64, "mean": HALF, "std": HALF, "crop_pct": 1.0}
RESNET = {"channels": [32, 48, 96, 160], "avg_down": True}
VIT = {"patch_size": 8, "embed_dim": 128, "depth": 6, "num_heads": 4}
SMALL_VIT = {"patch_size": 8, "embed_dim": 32, "depth": 3, "num_heads": 4}
SWIN = {"embed_dim": 16, "depths": (2, 2), "num_heads": (2, 2), "window_size": 4}

FAMILIES = ("cnn", "vit", "registers", "swin")
WITH_HEAD = ("infodisent", "br_npa")


@cache
def model(name: str) -> Backbone:
    """One of `FAMILIES` or `WITH_HEAD`, in evaluation mode."""
    return build(name).eval()


def build(name: str) -> Backbone:
    """The same, made anew."""
    if name == "cnn":
        return Backbone("resnet18", weights("synthetic_parts_cnn"), timm_kwargs=RESNET, **COMMON)
    if name == "vit":
        return Backbone("vit_tiny_patch16_224", weights("synthetic_parts_vit"), timm_kwargs=VIT, **COMMON)
    if name == "registers":
        return randomised(Backbone("vit_tiny_patch16_224", timm_kwargs={**SMALL_VIT, "reg_tokens": 2}, **COMMON))
    if name == "swin":
        return randomised(Backbone("swin_tiny_patch4_window7_224", timm_kwargs=SWIN, **COMMON))
    if name == "infodisent":
        return trained(Backbone("vit_tiny_patch16_224", timm_kwargs=VIT, **COMMON), "infodisent_synthetic_parts")
    if name == "br_npa":
        strided = Backbone("resnet18", timm_kwargs=RESNET, unstrided_stages=2, **COMMON)
        return trained(strided, "br_npa_high_resolution_synthetic_parts")
    raise ValueError(f"there is no model {name}")


def weights(name: str) -> str:
    """A checkpoint that comes with the package."""
    return str(CHECKPOINTS / f"{name}.safetensors")


def trained(backbone: Backbone, name: str) -> Backbone:
    """A backbone with the head and the weights of a checkpoint that comes with the package."""
    return Explainer(backbone, HeadAttribution(), weights=weights(name)).network


@torch.no_grad()
def randomised(module: Any, seed: int = 0) -> Any:
    """Seeded weights, large enough that gradients are not negligible, none of them at its neutral value."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        values = torch.randn(parameter.shape, generator=generator)
        if name.endswith("bias"):
            parameter.copy_(0.2 * values)
        elif parameter.dim() == 1:
            parameter.copy_(1 + 0.2 * values)
        elif "token" in name or "table" in name or (parameter.dim() == 3 and "embed" in name):
            parameter.copy_(values)
        else:
            parameter.copy_(1.5 * values * parameter[0].numel() ** -0.5)
    return module


@cache
def images(count: int, start: int = 0) -> Tensor:
    """SyntheticParts' test images as model input."""
    dataset, transform = SyntheticParts().dataset("test"), Transform(model("cnn").preprocessing)
    return torch.stack([transform(dataset.image(index)) for index in range(start, start + count)])


def loader() -> list[Tensor]:
    """What methods are prepared with."""
    return list(images(24, 100).split(12))


def other_targets(count: int) -> Tensor:
    """Classes that are given, in general not the predicted ones."""
    labels = torch.tensor(SyntheticParts().dataset("test").labels[:count])
    return (labels + 7) % CLASSES


def drawn(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers of a seed."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def tiny_cnn() -> nn.Module:
    """Two convolutions and a classifier of images ``(B, 3, 8, 8)``, for bounds that cost much."""
    layers = (nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.GELU(), nn.Flatten(), nn.Linear(6, 4))
    return randomised(nn.Sequential(*layers)).eval()


def cases() -> Iterator[Case]:
    """What the models and the generated data are themselves."""
    for name in (*FAMILIES, *WITH_HEAD):
        yield f"model/{name}", partial(_outputs, name)
    yield "data/synthetic_parts", _data


def _outputs(name: str) -> Any:
    backbone = model(name)
    with torch.no_grad():
        return {
            "logits": backbone(images(3)),
            "features": backbone.features(images(3)),
            "digest": backbone.digest(),
            "layers": " ".join([*backbone.default_layers(), *backbone.candidate_layers(), backbone.cam_layer()]),
        }


def _data() -> Any:
    found = {}
    for split in ("train", "val", "test"):
        dataset = SyntheticParts().dataset(split)  # type: ignore[arg-type]
        parts = dataset.parts(0)
        assert parts is not None
        found[split] = {
            "ids": " ".join(dataset.ids[:4]),
            "labels": dataset.labels,
            "pixels": list(dataset.image(5).tobytes()),
            "region": dataset.region(5),
            "parts": {"xy": parts.xy, "visible": parts.visible},
        }
    return found
