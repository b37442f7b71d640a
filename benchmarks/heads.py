"""Interpretable heads beside a linear probe: accuracy on the Caltech-101 asset, same frozen features, several seeds.

    python benchmarks/heads.py [--assets DIR] [--seeds 3] [--epochs 30] [--output runs/heads]

Rows are the heads, columns the two backbones of the assets: EfficientNet-Lite0 of ImageNet and a ViT-S/14 (the variable
LIT_COIBA_ASSETS, or ../shared/assets). EPIC starts from the linear probe of the same seed; below the table stand the
mean purity of its channels before and after, and how far its logits W' avg(G) + b are from those of the probe. What is
done is kept in OUTPUT, so the same command goes on where it was stopped. About an hour and a half on one core.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from lightning import seed_everything
from torch import Tensor

from lit_coiba.backbones import Backbone
from lit_coiba.data import ImageFolder
from lit_coiba.files.atomic import atomically
from lit_coiba.functional import prototype_counts, spatial_average
from lit_coiba.heads import BRNPAHead, EPICHead, Head, InfoDisentHead, LinearHead
from lit_coiba.trainer import Trainer
from lit_coiba.training.classifier import Classifier
from lit_coiba.training.feature_cache import CachedFeatures
from lit_coiba.training.feature_file import FeatureFile
from lit_coiba.training.purity_training import PurityTraining

PROBE, EPIC = "LinearHead", "EPICHead"
# Head -> how it is made, and its peak learning rate; weight decay is 1e-4 for all.
HEADS: dict[str, tuple[Callable[[int, int], Head], float]] = {
    PROBE: (LinearHead, 5e-3),
    "InfoDisentHead": (partial(InfoDisentHead, pooling="hard"), 1e-3),
    "InfoDisentHead, gumbel": (InfoDisentHead, 1e-3),
    "BRNPAHead": (BRNPAHead, 1e-3),
}
SHOWN = 5  # strongest images of a channel, of which the purity is told
CALM: dict[str, Any] = {
    "accelerator": "cpu",
    "devices": 1,
    "logger": False,
    "enable_checkpointing": False,
    "enable_model_summary": False,
    "enable_progress_bar": False,
}


def backbones(assets: Path) -> dict[str, Callable[[], Backbone]]:
    """Name -> the frozen model, made anew."""
    weights, half = assets / "models", (0.5, 0.5, 0.5)
    lite = partial(Backbone, "tf_efficientnet_lite0", str(weights / "tf_efficientnet_lite0.fp16.safetensors"))
    vit = partial(Backbone, "vit_small_patch14_dinov2", str(weights / "vit_small_patch14_caltech101.fp16.safetensors"))
    return {
        "EfficientNet-Lite0": partial(lite, num_classes=101, new_head=True, mean=half, std=half),
        "ViT-S/14": partial(vit, num_classes=101, image_size=168, crop_pct=1.0),
    }


def fit(backbone: Backbone, make: Callable[[int, int], Head], lr: float, seed: int, given: Any) -> tuple[float, Head]:
    """Train a head on cached features: accuracy on the validation images, and the head."""
    seed_everything(seed, verbose=False)
    classifier = Classifier(backbone, make, frozen=True, lr=lr, weight_decay=1e-4)
    trainer = Trainer(max_epochs=given.epochs, check_val_every_n_epoch=given.epochs, **CALM)
    trainer.fit(classifier, datamodule=images(given), cache=str(given.output / "features"))
    head = backbone.head
    assert isinstance(head, Head)
    return trainer.callback_metrics["val/accuracy"].item(), head.eval()


def epic(backbone: Backbone, probe: Head, seed: int, given: Any) -> dict[str, Any]:
    """Rotate the channels under a linear probe: accuracy, purity before and after, and what became of the logits."""
    assert isinstance(probe, LinearHead)
    head = EPICHead(probe.in_channels, probe.num_classes)
    head.init_from_linear(probe.classifier.weight, probe.classifier.bias)
    train, val = features(backbone, given)
    steps = prototype_counts(steps=given.purity_steps)
    training = PurityTraining(head, train, [min(count, len(train)) for count in steps], seed=seed)
    before = training.purity(SHOWN)
    Trainer(**training.trainer_arguments(), **CALM).fit(training)
    after = training.purity(SHOWN)
    head.eval()
    with torch.no_grad():
        turned, rows = head.rotate.inverse().T @ probe.classifier.weight.T, range(len(val))
        pairs = [_both(head, probe, turned, val.__getitems__([row]).values) for row in rows]
        hit = [logits.argmax().item() == val.targets[0, row].item() for row, (logits, _) in zip(rows, pairs)]
        off = max(((told - known).abs().max() / known.abs().max()).item() for told, known in pairs)
    purities = {"before": before.mean().item(), "after": after.mean().item()}
    return {"accuracy": mean(hit), **purities, "purer": (after > before).float().mean().item(), "off": off}


def _both(head: EPICHead, probe: LinearHead, turned: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """W' avg(G) + b by way of the rotated maps, and the logits of the probe."""
    return spatial_average(head.activations(values)) @ turned + probe.classifier.bias, probe(values)


def features(backbone: Backbone, given: Any) -> list[FeatureFile]:
    """The cached features of the training and of the validation images."""
    trainer = Trainer(max_epochs=1, **CALM)
    trainer.strategy.connect(Classifier(backbone, LinearHead, frozen=True))
    cached = CachedFeatures(images(given), str(given.output / "features"))
    cached.trainer = trainer
    cached.prepare_data()
    cached.setup("fit")
    return [loader.dataset for loader in (cached.train_dataloader(), cached.val_dataloader())]


def images(given: Any) -> ImageFolder:
    """The asset."""
    return ImageFolder(str(given.assets / "caltech101"), batch_size=given.batch_size)


def run(name: str, make: Callable[[], Backbone], seed: int, given: Any) -> dict[str, dict[str, Any]]:
    """All heads on one backbone with one seed; each is kept as soon as it is done."""
    settings = f"{given.epochs}epochs_batch{given.batch_size}_purity{given.purity_steps}"
    file = given.output / f"{name}_{settings}_seed{seed}.json".replace("/", "-")
    done: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file.exists() else {}
    probe: Head | None = None
    rotates = EPIC in given.heads and EPIC not in done
    for title, (head, lr) in HEADS.items():
        needed = title == PROBE and rotates  # EPIC starts from it
        if title not in given.heads:
            continue
        if title not in done or needed:
            accuracy, trained = fit(make(), head, lr, seed, given)
            _keep(done, title, {"accuracy": accuracy}, file)
            probe = trained if title == PROBE else probe
            print(f"{name}, seed {seed}, {title}: {accuracy:.1%}", flush=True)
    if rotates and probe is not None:
        _keep(done, EPIC, epic(make(), probe, seed, given), file)
        print(f"{name}, seed {seed}, {EPIC}: {done[EPIC]}", flush=True)
    return done


def _keep(done: dict[str, dict[str, Any]], title: str, found: dict[str, Any], file: Path) -> None:
    done[title] = found
    with atomically(file) as out:
        out.write(json.dumps(done).encode())


def cell(values: list[float], unit: str = "%", scale: float = 100) -> str:
    """Mean and standard deviation over seeds."""
    if not values:
        return "not run"
    spread = f" ± {stdev(values) * scale:.2f}" if len(values) > 1 else ""
    return f"{mean(values) * scale:.2f}{spread}{unit}"


def main() -> None:
    """Train, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("LIT_COIBA_ASSETS", str(Path(__file__).parents[2] / "shared" / "assets"))
    parser.add_argument("--assets", type=Path, default=Path(default))
    parser.add_argument("--output", type=Path, default=Path("runs/heads"), help="features, and what is done")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--heads", nargs="+", default=[*HEADS, EPIC], choices=[*HEADS, EPIC], help="rows to train")
    parser.add_argument("--purity_steps", type=int, default=10, help="of EPIC's falling counts, 100 to 5 images")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    found = {
        name: [run(name, make, seed, given) for seed in range(given.seeds)]
        for name, make in backbones(given.assets).items()
    }
    print(f"\nAccuracy on the validation images, mean and standard deviation over {given.seeds} seeds\n")
    print(f"| head | {' | '.join(found)} |\n|---|{'---|' * len(found)}")
    for title in [*HEADS, EPIC]:
        row = [[seed[title]["accuracy"] for seed in seeds if title in seed] for seeds in found.values()]
        print(f"| {title} | {' | '.join(cell(values) for values in row)} |")
    print()
    for name, seeds in found.items():
        told = {key: [seed[EPIC][key] for seed in seeds if EPIC in seed] for key in ("before", "after", "purer", "off")}
        if told["off"]:
            print(
                f"{name}, EPIC: mean purity {cell(told['before'], '', 1)} before, {cell(told['after'], '', 1)} after,"
                f" of the {SHOWN} strongest images; {cell(told['purer'])} of the channels became purer; logits are off"
                f" by {max(told['off']):.1e} of the largest at most"
            )


if __name__ == "__main__":
    main()
