"""What runs over datasets are tested with: pictures of coloured noise, and a method whose maps are known by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from lit_coiba.attribution import CoIBA
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.module import BlockDataModule
from lit_coiba.modules.explainer import Explainer
from lit_coiba.trainer import Trainer
from tests._testers import tiny

SIZE = 32  # pixels
LAYERS = ["blocks.0.norm1", "blocks.2.norm1"]
PATIENCE = 600.0  # seconds: a busy machine takes minutes to import
ROOT = Path(__file__).parents[2]


class NoisePictures(ImageDataset):
    def __init__(self, count, broken=(), labels=None):
        self.ids = [f"noise/{index:03d}.png" for index in range(count)]
        self.labels = [index % tiny.CLASSES for index in range(count)] if labels is None else labels
        self.classes = []
        self.broken = set(broken)

    def image(self, index):
        if index in self.broken:
            raise OSError("the file is torn")
        cells = np.random.default_rng(index).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        return Image.fromarray(cells).resize((SIZE, SIZE), Image.Resampling.NEAREST)


class NoiseData(BlockDataModule):
    def __init__(self, count=10, batch_size=2, limit=None, num_workers=0, **arguments):
        super().__init__(batch_size, num_workers, limit)
        self.pictures = NoisePictures(count, **arguments)

    def dataset(self, split):
        return self.pictures


class Shade(AttributionMethod):
    """Maps ``mean colour * (target + 1)`` on 2 x 2 cells, and the target as an extra.

    Args:
        fails_at: Images after which `explain` raises.
        not_finite_for: A target whose maps are NaN.
    """

    def __init__(self, seed: int = 0, fails_at: int | None = None, not_finite_for: int | None = None) -> None:
        self.seed = seed
        self.fails_at = fails_at
        self.not_finite_for = not_finite_for
        self.explained = 0

    def arguments(self):
        return {"seed": self.seed}

    def _explain(self, model, images, targets):
        self.explained += len(images)
        if self.fails_at is not None and self.explained > self.fails_at:
            raise RuntimeError("the power went out")
        maps = torch.nn.functional.adaptive_avg_pool2d(images.mean(1, keepdim=True), 2)[:, 0] * (
            targets.index[:, None, None] + 1
        )
        if self.not_finite_for is not None:
            maps[targets.index == self.not_finite_for] = torch.nan
        return Explanation(maps, {"seen": targets.index})


def passing_for(kind):
    """Decorator of a class that stores take for `kind`: what it does besides is a test's matter."""

    def renamed(disguised):
        disguised.__module__, disguised.__qualname__, disguised.__name__ = (
            kind.__module__,
            kind.__qualname__,
            kind.__name__,
        )
        return disguised

    return renamed


def make_trainer(**arguments) -> Trainer:
    quick = {"accelerator": "cpu", "devices": 1, "logger": False, "enable_progress_bar": False}
    return Trainer(**{**quick, "enable_checkpointing": False, "enable_model_summary": False, **arguments})


def coiba(**arguments) -> CoIBA:
    return CoIBA(**{"layers": LAYERS, "steps": 3, "copies": 2, **arguments})


def explain(
    model, folder, data=None, method=None, targets="predicted", trainer=None, pictures=False, **arguments
):  # pictures take longer than all the rest
    explainer = Explainer(model, method or Shade(), targets)
    trainer = trainer or make_trainer()
    return trainer.explain(explainer, data or NoiseData(), str(folder), pictures=pictures, **arguments)
