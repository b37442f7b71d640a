"""Leak test by start: predictions that survive pure noise in all bottleneck layers from one on, and the layers chosen.

    python benchmarks/leak_table.py [--assets DIR] [--images 200]

The shipped SyntheticParts checkpoints, and, where the assets are (the variable LIT_COIBA_ASSETS, or ../shared/assets),
a ViT fine-tuned on Caltech-101 and EfficientNet-Lite0.
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from _models import caltech_vit, efficientnet_lite0
from torch import Tensor

from lit_coiba.backbones import Backbone
from lit_coiba.bottlenecks import CoIBA, estimate_statistics, leak
from lit_coiba.data import ImageFolder, SyntheticParts
from lit_coiba.data.blocks import BlockDataset
from lit_coiba.data.module import BlockDataModule
from lit_coiba.resources import resource


def batches(model: Backbone, data: BlockDataModule, count: int) -> list[Tensor]:
    """About `count` images of `data`, evenly spaced, in batches of 8."""
    dataset = data.dataset("predict")
    blocks = BlockDataset(dataset, model.preprocessing, 1)
    count = min(count, len(dataset))
    images = [blocks[k * len(dataset) // count].images for k in range(count)]
    return [batch.flatten(0, 1) for batch in _stacks(images, 8)]


def _stacks(images: list[Tensor], size: int) -> Iterator[Tensor]:
    for start in range(0, len(images), size):
        yield torch.stack(images[start : start + size])


def models(assets: Path) -> Iterator[tuple[str, Backbone, BlockDataModule]]:
    """Name, model and data of every row."""
    for kind in ("vit", "cnn"):
        yield (
            f"shipped {kind}",
            Backbone.load(resource(f"checkpoints/synthetic_parts_{kind}.safetensors")),
            SyntheticParts(),
        )
    if not (assets / "models").exists():
        print(f"no assets in {assets}: two rows are left out")
        return
    yield "ViT-S/14, Caltech-101", caltech_vit(assets), ImageFolder(str(assets / "caltech101" / "val"))
    yield "EfficientNet-Lite0", efficientnet_lite0(assets), ImageFolder(str(assets / "imagenet-samples" / "images"))


def main() -> None:
    """Print a line per model and start."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("LIT_COIBA_ASSETS", str(Path(__file__).parents[2] / "shared" / "assets"))
    parser.add_argument("--assets", type=Path, default=Path(default))
    parser.add_argument("--images", type=int, default=200)
    arguments = parser.parse_args()
    print("| model | first layer | layers | kept | chance | |")
    print("|---|---|---|---|---|---|")
    for name, model, data in models(arguments.assets):
        images = batches(model, data, arguments.images)
        candidates, usual = model.candidate_layers(), model.default_layers()[0]
        statistics = estimate_statistics(model, candidates, images)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tested = CoIBA().set_statistics(model, statistics, images).leak
        chosen = tested.layers[0] if tested else usual
        for start in range(candidates.index(usual) + 3 if usual != candidates[0] else 1):
            if start >= len(candidates):
                break
            found = leak(model, statistics, candidates[start:], images, 0.01, 0)
            kept = found.kept[candidates[start]]
            note = " and ".join(["usual"] * (candidates[start] == usual) + ["chosen"] * (candidates[start] == chosen))
            first, count = candidates[start], len(found.layers)
            print(f"| {name} | {first} | {count} | {kept:.3f} | {found.chance:.3f} | {note} |", flush=True)


if __name__ == "__main__":
    main()
