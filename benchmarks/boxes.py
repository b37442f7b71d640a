"""Boxed photographs whose class the model has right: a table of localization, and images to choose settings on.

    python -m benchmarks.boxes --runs runs/boxes                # the table: 150 images
    python -m benchmarks.boxes --runs runs/boxes --prepare      # only sorts the images into table/ and tuning/

The 2,000 boxed images are run through EfficientNet-Lite0. Of those that it has right, every other one in the order of
their names goes to ``tuning``, the others to ``table``: what is chosen on the one is shown on the other.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
from pathlib import Path

import torch

from benchmarks.leaderboards import ASSETS, keep
from lit_coiba import Backbone, load_images
from lit_coiba.cli import main

SOURCE = ASSETS / "tiny-imagenet-boxes"
WEIGHTS = ASSETS / "models" / "tf_efficientnet_lite0.fp16.safetensors"
MODEL = ["--model.backbone.name", "tf_efficientnet_lite0", "--model.backbone.checkpoint", str(WEIGHTS)]
SETS = {"tuning": 60, "table": 150}
METHODS = ["coiba_fast", "coiba_fast:beta=10", "coiba_fast:steps=20", "grad_cam", "saliency"]


def right(rows: list[dict[str, str]], batch: int = 50) -> list[dict[str, str]]:
    """Rows of images whose class is the most probable one of 1,000."""
    model = Backbone("tf_efficientnet_lite0", checkpoint=str(WEIGHTS)).eval()
    found = []
    for start in range(0, len(rows), batch):
        some = rows[start : start + batch]
        images = load_images([SOURCE / "images" / row["file"] for row in some], model)
        with torch.no_grad():
            predicted = model(images).argmax(1).tolist()
        found += [row for row, index in zip(some, predicted) if index == int(row["imagenet_index"])]
    return found


def prepare(runs: Path) -> None:
    """Sort images into ``tuning`` and ``table`` below `runs`, unless that is done."""
    if all((runs / name / "boxes.csv").exists() for name in SETS):
        return
    with open(SOURCE / "boxes.csv", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["file"])
    known = right(rows)
    print(f"{len(known)} of {len(rows)} images are classified right", file=sys.stderr)
    for place, (name, count) in enumerate(SETS.items()):
        chosen = known[place::2]
        chosen = [chosen[k * len(chosen) // count] for k in range(min(count, len(chosen)))]
        (runs / name / "images").mkdir(parents=True, exist_ok=True)
        for row in chosen:
            shutil.copy(SOURCE / "images" / row["file"], runs / name / "images" / row["file"])
        with open(runs / name / "boxes.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(chosen[0]))
            writer.writeheader()
            writer.writerows(chosen)


def words(runs: Path, name: str) -> list[str]:
    """The data of one of the sets, as the command line takes it."""
    return ["--data.root", str(runs / name / "images"), "--data.csv", str(runs / name / "boxes.csv")]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/boxes"))
    parser.add_argument("--prepare", action="store_true")
    given = parser.parse_args()
    prepare(given.runs)
    if not given.prepare:
        command = ["--methods", *METHODS, *MODEL, *words(given.runs, "table"), "--data.batch_size", "10"]
        command += ["--suite", "localisation", "--trainer.precision", "auto"]
        status = main(["compare", *command, "--output", str(given.runs / "compare")])
        keep("boxes", given.runs / "compare" / "scores", command, "python -m benchmarks.boxes")
        sys.exit(status)
