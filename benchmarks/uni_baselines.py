"""What UNI's baselines do to real models: confidence from image to baseline, and along the path, beside static ones.

    python benchmarks/uni_baselines.py [--assets DIR] [--images 100] [--static 40] [--batch 10]

Rows are baselines of EfficientNet-Lite0 on ImageNet samples and of a ViT-S/14 on Caltech-101's validation images (the
variable LIT_COIBA_ASSETS, or ../shared/assets), at the predicted class. ``falls`` is the share of images whose
confidence is lower at the baseline, ``does not rise`` allows for rounding (1e-6); ``monotone`` is the mean Spearman
correlation of the place on the path, 16 points, with the confidence there. The last line is the largest value of maps
without unlearning (eta = 0), which has to be 0. A quarter of an hour on one core.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import get_args

import torch
from _models import caltech_vit, efficientnet_lite0
from torch import Tensor

from lit_coiba.attribution import UNI
from lit_coiba.backbones import Backbone
from lit_coiba.data import ImageFolder
from lit_coiba.data.transforms import Transform
from lit_coiba.perturbation.baselines import Baseline, baseline_images

POINTS = 16  # of a path, both ends among them


def settings(assets: Path) -> dict[str, tuple[Backbone, Path]]:
    """Name -> model and its images."""
    return {
        "EfficientNet-Lite0, ImageNet": (efficientnet_lite0(assets).eval(), assets / "imagenet-samples" / "images"),
        "ViT-S/14, Caltech-101": (caltech_vit(assets).eval(), assets / "caltech101" / "val"),
    }


def load(folder: Path, model: Backbone, count: int) -> Tensor:
    """Model input of `count` images of a folder, evenly spread over its files."""
    dataset, transform = ImageFolder(str(folder)).dataset("predict"), Transform(model.preprocessing)
    chosen = torch.linspace(0, len(dataset.ids) - 1, count).round().int().tolist()
    return torch.stack([transform(dataset.image(i)) for i in chosen])


@torch.no_grad()
def confidences(model: Backbone, images: Tensor, baselines: Tensor) -> Tensor:
    """Probability of the class predicted at the image, from the baseline to the image, ``(B, POINTS)``."""
    classes = model(images).argmax(1)
    shares = torch.linspace(0, 1, POINTS).tolist()
    points = [model(baselines + share * (images - baselines)).softmax(1) for share in shares]
    return torch.stack([p.gather(1, classes[:, None])[:, 0] for p in points], 1)


def spearman(values: Tensor) -> Tensor:
    """Rank correlation of each row with its positions; ties share their rank, and a constant row has 0."""
    rank = (values[:, :, None] > values[:, None]).sum(2) + 0.5 * (values[:, :, None] == values[:, None]).sum(2)
    rank = rank - rank.mean(1, keepdim=True)
    place = torch.arange(values.shape[1]).to(rank) - (values.shape[1] - 1) / 2
    return (rank * place).sum(1) / (rank.norm(dim=1) * place.norm()).clamp_min(1e-12)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--assets", type=Path)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--static", type=int, default=40, help="images for the static baselines")
    parser.add_argument("--batch", type=int, default=10)
    given = parser.parse_args()
    near = Path(__file__).parents[2] / "shared" / "assets"
    assets = given.assets or Path(os.environ.get("LIT_COIBA_ASSETS", near))
    print("| model, images | baseline | images | confidence | at baseline | falls | does not rise | monotone |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name, (model, folder) in settings(assets).items():
        images = load(folder, model, given.images)
        for kind in ("UNI", "UNI, sphere", *get_args(Baseline)):
            parts = []
            for batch in (images if kind == "UNI" else images[: given.static]).split(given.batch):
                if kind.startswith("UNI"):
                    baselines = UNI(projection="sphere" if "sphere" in kind else "ball").baseline(model, batch)
                else:
                    baselines = baseline_images(kind, batch, model)
                parts.append(confidences(model, batch, baselines))
            found = torch.cat(parts)
            first, last = found[:, 0], found[:, -1]
            print(
                f"| {name} | {kind} | {len(found)} | {last.mean():.3f} | {first.mean():.3f}"
                f" | {(first < last).float().mean():.0%} | {(first <= last + 1e-6).float().mean():.0%}"
                f" | {spearman(found).mean():.3f} |",
                flush=True,
            )
        largest = UNI(eta=0).attribute(model, images[:8]).abs().max()
        print(f"| {name} | UNI, eta = 0: largest value of 8 maps | 8 | {float(largest)} | | | | |", flush=True)


if __name__ == "__main__":
    main()
