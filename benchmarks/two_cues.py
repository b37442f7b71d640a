"""Two redundant cues, of which people mark the left one: what harmonization changes, and what it does not.

    python -m benchmarks.two_cues --runs runs/two_cues

Trains a small network with several kinds of harmonization, on two seeds each, and prints the table of
docs/results/harmonization: the share of the absolute gradient on the left half, accuracy with both cues and with one
alone, the share of pixels of the left patch where the gradient is positive, and the drops without what is marked.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from lightning import seed_everything
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lit_coiba import Backbone, Trainer
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data import TwoCues
from lit_coiba.data.transforms import Transform
from lit_coiba.functional.reliance import PARTS, without_part
from lit_coiba.losses.harmonization import training_saliency
from lit_coiba.training import HarmonizedClassifier

KINDS = (("signed", 0.0), ("signed", 1.0), ("absolute", 1.0), ("absolute", 5.0))  # saliency and weight of a training
SEEDS = (0, 1)
SIZE, EPOCHS, CONTRAST = 32, 4, 0.2
CUES = ("both", "left", "right")


def network(classes: int = 2) -> Backbone:
    """A small network that knows where things are."""
    layers = [nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2)]
    layers += [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2)]
    layers += [nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten()]
    recipe = Preprocessing((SIZE, SIZE), mean=(0.5,) * 3, std=(0.5,) * 3, crop_pct=1.0)
    return Backbone.wrap(nn.Sequential(*layers, nn.Linear(32 * (SIZE // 8) ** 2, classes)), recipe)


def trained(saliency: Any, weight: float, seed: int) -> Backbone:
    """A network after its fit."""
    seed_everything(seed, verbose=False)
    module = HarmonizedClassifier(network(), weight=weight, saliency=saliency, lr=3e-3, label_smoothing=0.0)
    trainer = Trainer(
        max_epochs=EPOCHS, logger=False, enable_checkpointing=False, limit_val_batches=0, accelerator="cpu"
    )
    trainer.fit(module, datamodule=TwoCues(contrast=CONTRAST, batch_size=50))
    return module.backbone.eval().requires_grad_(False)


def samples(backbone: Backbone, cues: str, limit: int = 1000) -> tuple[Tensor, Tensor, Tensor]:
    """Images, labels and importance of the test split."""
    drawn, transform = TwoCues(contrast=CONTRAST).drawn("test", cues), Transform(backbone.preprocessing)
    rows = range(min(limit, len(drawn)))
    images = torch.stack([transform(drawn.image(k)) for k in rows])
    return images, torch.tensor(drawn.labels)[: len(rows)], torch.stack([drawn.importance(k) for k in rows])


def measured(backbone: Backbone) -> dict[str, float]:
    """The row of one network."""
    row: dict[str, float] = {}
    for cues in CUES:
        images, labels, importance = samples(backbone, cues)
        batches = DataLoader(range(len(images)), 250)
        logits = torch.cat([backbone(images[rows]) for rows in batches])
        row[f"accuracy {cues}"] = (logits.argmax(1) == labels).float().mean().item()
        if cues != "both":
            continue
        x = images.clone().requires_grad_()
        gradient = training_saliency(backbone(x), x, labels, create_graph=False)
        size = gradient.abs()
        left, right = (size * mask for mask in (importance, importance.flip(-1)))  # the places of the two patches
        row["left share"] = (left.sum((1, 2)) / (left + right).sum((1, 2))).mean().item()
        row["left half"] = (size[..., : SIZE // 2].sum((1, 2)) / size.sum((1, 2))).mean().item()
        row["positive on the left patch"] = (gradient > 0)[importance > 0].float().mean().item()
        for part in PARTS:
            without = backbone(without_part(images, importance, part))
            rows = torch.arange(len(labels))
            row[f"logit without {part}"] = (without - logits)[rows, labels].mean().item()
            row[f"accuracy without {part}"] = (without.argmax(1) == labels).float().mean().item()
    return row


def main(runs: Path) -> None:
    """Train, measure and print; what is measured already is read."""
    runs.mkdir(parents=True, exist_ok=True)
    table: dict[str, list[dict[str, float]]] = {}
    for saliency, weight in KINDS:
        for seed in SEEDS:
            file = runs / f"{saliency}_{weight:g}_seed_{seed}.json"
            if not file.exists():
                file.write_text(json.dumps(measured(trained(saliency, weight, seed)), indent=1), encoding="utf-8")
            row = json.loads(file.read_text(encoding="utf-8"))
            table.setdefault(f"{saliency}, {weight:g}" if weight else "none", []).append(row)
    names = list(table["none"][0])
    print("| harmonization |", " | ".join(names), "|\n|" + "---|" * (len(names) + 1))
    for title, rows in table.items():
        cells = [torch.tensor([row[name] for row in rows]) for name in names]
        shown = [f"{one.mean():.3f} ({one.min():.3f} to {one.max():.3f})" for one in cells]
        print(f"| {title} |", " | ".join(shown), "|")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/two_cues"))
    main(parser.parse_args().runs)
