"""SyntheticParts and the two models that come with the package."""

from __future__ import annotations

from pathlib import Path

import yaml

from lit_coiba.backbones import Backbone
from lit_coiba.data.synthetic_parts import SyntheticParts
from lit_coiba.demo.runs import Outcome, Runner
from lit_coiba.resources import resource

MODELS = {"ViT": "synthetic_parts_vit", "CNN": "synthetic_parts_cnn"}

# IBA's smoothing is meant for grids of some 28 x 28 cells; on the ViT's 8 x 8 it would spread over half of the image.
# The first block, because two blocks later the class stands in the CLS token, which has no place on a map. Energy on 32
# validation images, by layer 0, 1, 2 (the default): .51, .36, .25, and .22, .16, .13 with smoothing (the default).
IBA_NOTE = "IBA on the ViT: first block, no smoothing; its default layer and smoothing give little more than chance."
IBA_ARGUMENTS = {"ViT": {"layer": "blocks.0", "smoothing": 0.0}, "CNN": {}}


def explain(runner: Runner, folder: Path, images: int) -> list[Outcome]:
    """Explain test images for both models by every method."""
    data = SyntheticParts(batch_size=16)
    outcomes = []
    for model, name in MODELS.items():
        below = folder / f"{name}_{images}"  # another number of images is another store
        outcomes += runner.explain(model, shipped_model(name), data, below, limit=images, iba=IBA_ARGUMENTS[model])
    return outcomes


def shipped_model(name: str) -> Backbone:
    """The backbone of ``configs/experiment/NAME.yaml`` with ``checkpoints/NAME.safetensors``."""
    experiment = yaml.safe_load(resource(f"configs/experiment/{name}.yaml").read_text(encoding="utf-8"))
    return Backbone(**experiment["model"]["backbone"], checkpoint=str(resource(f"checkpoints/{name}.safetensors")))
