"""Two redundant cues, of which people mark the left one: what harmonization changes, and what it does not.

    python -m benchmarks.two_cues --runs runs/two_cues

Trains a small network with several weights of the harmonization loss, on three seeds each, and prints the table of
docs/results/harmonization: the share of the absolute gradient on the left half, accuracy with both cues and with one
alone, the share of pixels of the left patch where the gradient is positive, and the drops without what is marked.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from lightning import seed_everything
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lit_coiba import Backbone, Trainer
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data import TwoCues
from lit_coiba.data.transforms import Transform
from lit_coiba.functional import bootstrap_interval
from lit_coiba.functional.reliance import PARTS, without_part
from lit_coiba.losses.harmonization import training_saliency
from lit_coiba.training import HarmonizedClassifier

WEIGHTS = (0.0, 1.0, 10.0)
SEEDS = (0,)
SIZE, EPOCHS, CONTRAST = 32, 3, 0.3
CUES = ("both", "left", "right")


def network(classes: int = 2) -> Backbone:
    """A small network that knows where things are."""
    layers = [nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2)]
    layers += [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2)]
    layers += [nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten()]
    recipe = Preprocessing((SIZE, SIZE), mean=(0.5,) * 3, std=(0.5,) * 3, crop_pct=1.0)
    return Backbone.wrap(nn.Sequential(*layers, nn.Linear(32 * (SIZE // 8) ** 2, classes)), recipe)


def trained(weight: float, seed: int) -> Backbone:
    """A network after its fit."""
    seed_everything(seed, verbose=False)
    module = HarmonizedClassifier(network(), weight=weight, lr=3e-3, label_smoothing=0.0)
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
    table: dict[float, list[dict[str, float]]] = {}
    for weight in WEIGHTS:
        for seed in SEEDS:
            file = runs / f"weight_{weight:g}_seed_{seed}.json"
            if not file.exists():
                file.write_text(json.dumps(measured(trained(weight, seed)), indent=1), encoding="utf-8")
            table.setdefault(weight, []).append(json.loads(file.read_text(encoding="utf-8")))
    names = list(table[WEIGHTS[0]][0])
    print("| weight |", " | ".join(names), "|\n|" + "---|" * (len(names) + 1))
    for weight, rows in table.items():
        cells = [bootstrap_interval(torch.tensor([row[name] for row in rows])) for name in names]
        print(f"| {weight:g} |", " | ".join(f"{one.mean:.3f} ({one.low:.3f} to {one.high:.3f})" for one in cells), "|")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/two_cues"))
    main(parser.parse_args().runs)
