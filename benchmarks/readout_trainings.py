"""Train the readouts that `benchmarks.readout_quality` compares.

    python -m benchmarks.readout_trainings caltech              # ViT-S of the assets, 2,222 training images
    python -m benchmarks.readout_trainings vit coiba forward    # a model of SyntheticParts, and these readouts only

Writes runs/readouts/MODEL/KIND.safetensors, with a card; what is there is not trained again. Kinds are ``coiba``;
``forward``, Readout CoIBA without the gradient; ``iba``; ``ranking``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning import Trainer

from benchmarks._models import ASSETS, caltech_vit
from benchmarks.readout_quality import synthetic
from lit_coiba.backbones import Backbone
from lit_coiba.callbacks import ExportReadout
from lit_coiba.data import BlockDataModule, ImageFolder, SyntheticParts
from lit_coiba.training import CoIBAReadout, IBAReadout, RankingReadout
from lit_coiba.training.readout import Readout

KINDS: dict[str, tuple[Callable[..., Readout], dict[str, Any]]] = {
    "coiba": (CoIBAReadout, {}),
    "forward": (CoIBAReadout, {"gradient": False}),
    "iba": (IBAReadout, {"lr": 1e-3}),
    "ranking": (RankingReadout, {"lr": 1e-3, "points": 8}),
}
EPOCHS = {"coiba": 3, "forward": 3, "iba": 3, "ranking": 1}
WIDTH = {"caltech": 128, "vit": 96, "cnn": 96}
BATCH = {"caltech": 32, "vit": 64, "cnn": 64}
RANKING_STEPS, RANKING_SHARE = 60, 4  # each image costs sixteen forwards and backwards: few steps of small batches


def model_of(name: str) -> Backbone:
    """The model that is explained."""
    return caltech_vit() if name == "caltech" else synthetic(name, 1)[0]


def images_of(name: str, batch_size: int) -> BlockDataModule:
    """The images that readouts of a model are trained on."""
    if name == "caltech":
        return ImageFolder(str(ASSETS / "caltech101"), augment=False, batch_size=batch_size)
    return SyntheticParts(multi_target=True, batch_size=batch_size)


def train(name: str, kind: str, file: Path, epochs: int | None = None) -> None:
    """Fit one readout and export it."""
    model = model_of(name)
    made, options = KINDS[kind]
    ranking = kind == "ranking"
    width = {} if kind == "iba" else {"width": WIDTH[name]}
    module = made(model, statistics_images=2000, **width, **options)
    trainer = Trainer(
        max_epochs=epochs or EPOCHS[kind],
        limit_train_batches=RANKING_STEPS if ranking else None,
        precision="32-true" if name == "cnn" else "bf16-mixed",
        accelerator="cpu",
        limit_val_batches=2 if ranking else 8,
        logger=False,
        enable_checkpointing=False,
        callbacks=[ExportReadout(str(file), f"python -m benchmarks.readout_trainings {name} {kind}")],
    )
    begun = time.process_time()
    trainer.fit(module, datamodule=images_of(name, BATCH[name] // (RANKING_SHARE if ranking else 1)))
    print(
        name, kind, f"{time.process_time() - begun:.0f} s of processor time", dict(trainer.callback_metrics), flush=True
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=["caltech", "vit", "cnn"])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; all if left out")
    parser.add_argument("--epochs", type=int, default=None)
    given = parser.parse_args()
    if unknown := [kind for kind in given.kinds if kind not in KINDS]:
        parser.error(f"{unknown[0]} is none of {', '.join(KINDS)}")
    for kind in given.kinds or KINDS:
        file = Path("runs/readouts") / given.model / f"{kind}.safetensors"
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            train(given.model, kind, file, given.epochs)
