"""SyntheticParts and the two models that come with the package."""

from __future__ import annotations

from pathlib import Path

import yaml

from lit_coiba.backbones import Backbone
from lit_coiba.data.synthetic_parts import SyntheticParts
from lit_coiba.demo.runs import Outcome, Runner
from lit_coiba.resources import resource

MODELS = ("synthetic_parts_vit", "synthetic_parts_cnn")


def explain(runner: Runner, folder: Path, images: int) -> list[Outcome]:
    """Explain test images for both models by every method."""
    data = SyntheticParts(batch_size=16)
    outcomes = []
    for model in MODELS:  # another number of images is another store
        outcomes += runner.explain(model, shipped_model(model), data, folder / f"{model}_{images}", limit=images)
    return outcomes


def shipped_model(name: str) -> Backbone:
    """A model of the package: the backbone of ``configs/experiment/NAME.yaml`` with ``checkpoints/NAME.safetensors``."""
    experiment = yaml.safe_load(resource(f"configs/experiment/{name}.yaml").read_text(encoding="utf-8"))
    backbone = experiment["model"]["backbone"]
    arguments = backbone.get("init_args", backbone)
    return Backbone(**{**arguments, "checkpoint": str(resource(f"checkpoints/{name}.safetensors"))})
