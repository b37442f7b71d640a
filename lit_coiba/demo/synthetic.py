"""SyntheticParts, the two models that come with the package, and the readouts that were trained for them."""

from __future__ import annotations

from pathlib import Path

from lit_coiba.backbones import Backbone
from lit_coiba.data.synthetic_parts import SyntheticParts
from lit_coiba.demo.runs import Explained, Runner
from lit_coiba.metrics import Deletion, EnergyPointing, Insertion
from lit_coiba.metrics.metric import Metric
from lit_coiba.resources import resource

MODELS = {"ViT": "synthetic_parts_vit", "CNN": "synthetic_parts_cnn"}


def explain(runner: Runner, folder: Path, images: int) -> list[Explained]:
    """Explain test images for both models by every method, and score the maps."""
    data = SyntheticParts(batch_size=16)
    explained = []
    for model, name in MODELS.items():
        below = folder / f"{name}_{images}"  # another number of images is another store
        network = Backbone.load(resource(f"checkpoints/{name}.safetensors"))
        readout = str(resource(f"checkpoints/readout_coiba_{name}.safetensors"))
        found = runner.explain(model, network, data, below, limit=images, metrics=metrics(), readout=readout)
        explained.append(found)
    return explained


def metrics() -> dict[str, Metric]:
    """What the maps are scored by: whole cells of 8 x 8 pixels, since the methods' grids differ."""
    return {
        "insertion": Insertion(grid_size=8, steps=16),
        "deletion": Deletion(grid_size=8, steps=16),
        "energy": EnergyPointing(),
    }
