"""EfficientNet-Lite0 before and after harmonizing with boxes as weak maps, on held-out photographs.

    python -m benchmarks.harmonized_boxes --runs runs/harmonized_boxes

Of the 2,000 boxed images every fifth one is held out; the others fine-tune the last two stages for two epochs, once by
cross-entropy alone and once with harmonization. Prints the table of docs/results/harmonization, and writes
``boxes.json`` and a picture of the saliencies. What is trained stays in the folder and is not trained again.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import torch
from lightning import seed_everything
from PIL import Image
from torch import Tensor

from benchmarks.leaderboards import ASSETS
from lit_coiba import Backbone, ImageFolder, Trainer
from lit_coiba.functional import bootstrap_interval, spearman
from lit_coiba.functional.importance import smooth_importance
from lit_coiba.functional.reliance import PARTS, without_part
from lit_coiba.losses.harmonization import evaluation_saliency
from lit_coiba.pictures.painting import painted, painted_over
from lit_coiba.training import HarmonizedClassifier
from lit_coiba.training.checkpoint_file import read_checkpoint

SOURCE = ASSETS / "tiny-imagenet-boxes"
WEIGHTS = ASSETS / "models" / "tf_efficientnet_lite0.fp16.safetensors"
SIZE, BATCH, EPOCHS, SHOWN = 128, 8, 2, 8
LR = 3e-4
STAGES = ["blocks.5", "blocks.6"]
WEIGHT_OF = {"fine-tuned": 0.0, "harmonized": 10.0}


def data(runs: Path) -> ImageFolder:
    """The boxed images in two splits."""
    table = runs / "split.csv"
    if not table.exists():
        with open(SOURCE / "boxes.csv", encoding="utf-8") as file:
            rows = sorted(csv.DictReader(file), key=lambda row: row["file"])
        runs.mkdir(parents=True, exist_ok=True)
        with open(table, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [*rows[0], "split"])
            writer.writeheader()
            writer.writerows({**row, "split": "train" if k % 5 else "val"} for k, row in enumerate(rows))
    images = str(SOURCE / "images")
    return ImageFolder(images, csv=str(table), columns={"label": "imagenet_index"}, batch_size=BATCH, num_workers=0)


def model(**arguments: Any) -> HarmonizedClassifier:
    """The pretrained network, to be trained in its last stages."""
    backbone = Backbone("tf_efficientnet_lite0", checkpoint=str(WEIGHTS), image_size=SIZE, crop_pct=1.0)
    return HarmonizedClassifier(backbone, trained_layers=STAGES, lr=LR, **arguments)


def trained(runs: Path, name: str, images: ImageFolder) -> HarmonizedClassifier:
    """A fit, unless its checkpoint is there."""
    seed_everything(0, verbose=False)
    module, file = model(weight=WEIGHT_OF[name]), runs / f"{name}.ckpt"
    if not file.exists():
        trainer = Trainer(
            max_epochs=EPOCHS, logger=False, enable_checkpointing=False, limit_val_batches=0, accelerator="cpu"
        )
        trainer.fit(module, datamodule=images)
        trainer.save_checkpoint(file)
    module.load_state_dict(read_checkpoint(file)["state_dict"])
    return module


def measured(module: HarmonizedClassifier, images: ImageFolder) -> dict[str, Tensor]:
    """What alignment, accuracy and reliance are of each held-out image ``(N,)``, and a few maps."""
    network = module.backbone.eval().requires_grad_(False)
    found: dict[str, list[Tensor]] = {}
    images.importance_read = True
    for batch in images.val_dataloader():
        logits, maps = evaluation_saliency(network, batch.images, batch.targets)
        importance, rows = smooth_importance(batch.importance), torch.arange(len(logits))
        rho = spearman(maps.flatten(1), importance.flatten(1)).nan_to_num(0.0)
        rho[~batch.mapped] = torch.nan
        values = {"alignment": rho, "accuracy": (logits.argmax(1) == batch.targets).float()}
        with torch.no_grad():
            for part in PARTS:
                without = network(without_part(batch.images, importance, part))
                values[f"accuracy without {part}"] = (without.argmax(1) == batch.targets).float()
                values[f"logit without {part}"] = without[rows, batch.targets] - logits[rows, batch.targets]
        for key, value in values.items():
            found.setdefault(key, []).append(value.double())
        if "maps" not in found:
            found |= {"maps": [maps], "images": [batch.images], "importance": [importance]}
    return {key: torch.cat(parts) for key, parts in found.items()}


def picture(results: dict[str, dict[str, Tensor]], module: HarmonizedClassifier) -> Image.Image:
    """Photographs, the boxes, and the saliency of each model below."""
    first = next(iter(results.values()))
    columns = []
    for k in range(SHOWN):
        pixels = (module.preprocessing.denormalize(first["images"][k]).clamp(0, 1) * 255).round().to(torch.uint8)
        rows = [pixels, painted_over(pixels, first["importance"][k])]
        rows += [painted(one["maps"][k], (SIZE, SIZE)) for one in results.values()]
        columns.append(torch.cat(rows, 1))
    return Image.fromarray(torch.cat(columns, 2).permute(1, 2, 0).numpy())


def main(runs: Path) -> None:
    """Train what is not trained, measure and print."""
    images = data(runs)
    start = model()
    images.model_preprocessing = start.preprocessing
    modules = {"pretrained": start} | {name: trained(runs, name, images) for name in WEIGHT_OF}
    results = {name: measured(module, images) for name, module in modules.items()}
    names = [name for name in results["pretrained"] if name not in ("maps", "images", "importance")]
    table = {row: {name: bootstrap_interval(found[name]) for name in names} for row, found in results.items()}
    print("| |", " | ".join(names), "|")
    for row, cells in table.items():
        print(
            f"| {row} |", " | ".join(f"{one.mean:.3f} [{one.low:.3f}, {one.high:.3f}]" for one in cells.values()), "|"
        )
    (runs / "boxes.json").write_text(f"{json.dumps(table, indent=1)}\n", encoding="utf-8")
    picture(results, start).save(runs / "boxes.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/harmonized_boxes"))
    main(parser.parse_args().runs)
