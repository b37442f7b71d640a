"""Which part of InfoDisent does what: its ablations on the same frozen features, several seeds.

    python benchmarks/infodisent_ablations.py [--data synthetic|caltech101] [--seeds 3] [--epochs 30] [--output DIR]

The variants are those of configs/ablation/infodisent.yaml, or of another file in the same form (--variants): a name and
the arguments of InfoDisentHead that differ. SyntheticParts comes with its ViT; Caltech-101 and its ViT-S/14 are assets
(--assets; the variable LIT_COIBA_ASSETS, or ../shared/assets). Columns, all on the validation images, mean and standard
deviation over seeds: accuracy; purity of channels on their five strongest images; RV coefficient between channels (0 =
they say different things); positions where a channel is active, in percent; units in use by any class, by a class, by
an image (above a fifth of the largest weight or contribution). What is done is kept in OUTPUT, so the same command goes
on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import os
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
import yaml
from lightning import seed_everything

from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.data import ImageFolder, SyntheticParts
from lit_coiba.data.module import BlockDataModule
from lit_coiba.files.atomic import atomically
from lit_coiba.functional import signed_max
from lit_coiba.heads import Head, InfoDisentHead
from lit_coiba.metrics.prototypes.activation_sparsity import ActivationSparsity
from lit_coiba.metrics.prototypes.channel_correlation import ChannelCorrelation
from lit_coiba.metrics.prototypes.explanation_size import ExplanationSize
from lit_coiba.metrics.prototypes.strongest_purity import StrongestPurity
from lit_coiba.resources import resource
from lit_coiba.trainer import Trainer
from lit_coiba.trainer.quiet import quiet
from lit_coiba.training.classifier import Classifier
from lit_coiba.training.feature_cache import CachedFeatures
from lit_coiba.training.feature_file import FeatureFile

# Column -> format of its mean, and factor.
COLUMNS: dict[str, tuple[str, float]] = {
    "accuracy": (".2f", 100),
    "channel purity": (".3f", 1),
    "RV": (".3f", 1),
    "active positions": (".1f", 100),
    "units": (".0f", 1),
    "of a class": (".1f", 1),
    "of an image": (".1f", 1),
}
CALM: dict[str, Any] = {
    "accelerator": "cpu",
    "devices": 1,
    "logger": False,
    "enable_checkpointing": False,
    "enable_model_summary": False,
    "enable_progress_bar": False,
}


def backbone(given: argparse.Namespace) -> Backbone:
    """The frozen model, made anew."""
    if given.data == "synthetic":
        return Backbone.load(resource("checkpoints/synthetic_parts_vit.safetensors"))
    weights = given.assets / "models" / "vit_small_patch14_caltech101.fp16.safetensors"
    return Backbone("vit_small_patch14_dinov2", str(weights), num_classes=101, image_size=168, crop_pct=1.0)


def images(given: argparse.Namespace) -> BlockDataModule:
    """The data, without augmentation."""
    if given.data == "synthetic":
        return SyntheticParts(multi_target=False, batch_size=given.batch_size, num_workers=0)
    return ImageFolder(str(given.assets / "caltech101"), batch_size=given.batch_size)


def run(arguments: dict[str, Any], seed: int, given: argparse.Namespace) -> dict[str, float]:
    """Train one variant, and measure it."""
    seed_everything(seed, verbose=False)
    model = backbone(given)
    classifier = Classifier(model, partial(InfoDisentHead, **arguments), frozen=True, lr=given.lr, weight_decay=1e-4)
    trainer = Trainer(max_epochs=given.epochs, check_val_every_n_epoch=given.epochs, **CALM)
    folder = str(given.output / "features")
    with quiet():
        trainer.fit(classifier, datamodule=images(given), cache=folder)
    head = model.head
    assert isinstance(head, Head)
    cached = CachedFeatures(images(given), folder)
    cached.trainer = trainer
    cached.setup("fit")
    accuracy = trainer.callback_metrics["val/accuracy"].item()
    return {"accuracy": accuracy, **measure(head, cached.val_dataloader().dataset)}


@torch.no_grad()
def measure(head: Head, features: FeatureFile, size: int = 256) -> dict[str, float]:
    """What the channels of a head are like on features."""
    head.eval()
    purity, rv, sparsity = StrongestPurity(head.units), ChannelCorrelation(head.units), ActivationSparsity()
    sizes = ExplanationSize(head.unit_weights(), head.units)
    for start in range(0, len(features), size):
        values = features.__getitems__(list(range(start, min(start + size, len(features))))).values
        maps = head.activations(values)
        purity.update(maps)
        rv.update(signed_max(maps))
        sparsity.update(maps)
        sizes.update(head.contributions(values))
    found = (purity.compute().item(), rv.compute().item(), sparsity.compute().item(), *map(float, sizes.sizes()))
    return dict(zip(list(COLUMNS)[1:], found))


def _key(arguments: dict[str, Any], seed: int, given: argparse.Namespace) -> str:
    """What decides a result, within one folder."""
    return json.dumps([given.data, arguments, seed, given.epochs, given.batch_size, given.lr], sort_keys=True)


def cell(column: str, values: list[float]) -> str:
    """Mean and standard deviation over seeds."""
    form, factor = COLUMNS[column]
    spread = f" ± {format(factor * stdev(values), form)}" if len(values) > 1 else ""
    return format(factor * mean(values), form) + spread


def main() -> None:
    """Train, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("LIT_COIBA_ASSETS", str(Path(__file__).parents[2] / "shared" / "assets"))
    parser.add_argument("--data", choices=("synthetic", "caltech101"), default="synthetic")
    parser.add_argument("--assets", type=Path, default=Path(default), help="with caltech101/ and models/")
    parser.add_argument("--variants", type=Path, default=None, help="another YAML of names and arguments")
    parser.add_argument("--only", nargs="+", default=None, metavar="NAME", help="some of the variants")
    parser.add_argument("--seeds", type=int, default=3, help="0, 1, ... (default 3)")
    parser.add_argument("--epochs", type=int, default=30, help="default 30")
    parser.add_argument("--batch-size", type=int, default=64, help="default 64")
    parser.add_argument("--lr", type=float, default=1e-3, help="peak learning rate of AdamW, default 1e-3")
    parser.add_argument("--output", type=Path, default=None, help="default runs/infodisent_ablations_DATA")
    given = parser.parse_args()
    given.output = given.output or Path("runs") / f"infodisent_ablations_{given.data}"
    file = given.variants or resource("configs/ablation/infodisent.yaml")
    variants: dict[str, dict[str, Any]] = yaml.safe_load(file.read_text(encoding="utf-8"))
    unknown = [name for name in given.only or () if name not in variants]
    if unknown:
        parser.error(f"--only: there is no variant {unknown[0]!r}, but {', '.join(variants)}")
    chosen = {name: variants[name] for name in given.only or variants}
    kept = given.output / "runs.json"
    done: dict[str, dict[str, float]] = json.loads(kept.read_text()) if kept.exists() else {}
    for seed in range(given.seeds):
        for name, arguments in chosen.items():
            key = _key(arguments, seed, given)
            if key not in done:
                try:
                    done[key] = run(arguments, seed, given)
                except InputError as error:
                    parser.exit(2, f"{error}\n")
                with atomically(kept) as out:
                    out.write(json.dumps(done).encode())
                print(f"{name}, seed {seed}: {done[key]}", flush=True)
    print(f"\n| {given.data} | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
    for name, arguments in chosen.items():
        found = [done[_key(arguments, seed, given)] for seed in range(given.seeds)]
        print(f"| {name} | {' | '.join(cell(column, [one[column] for one in found]) for column in COLUMNS)} |")


if __name__ == "__main__":
    main()
