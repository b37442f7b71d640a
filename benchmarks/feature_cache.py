"""What a feature cache saves: time of a training epoch with and without it, on the Caltech-101 asset, and the accuracy.

    python benchmarks/feature_cache.py [--assets DIR] [--batches N] [--epochs 3] [--output runs/heads]

A linear probe and an InfoDisent head (hard pooling) on the two frozen backbones of the assets (the variable
LIT_COIBA_ASSETS, or ../shared/assets), the same seed both ways, so the same batches in the same order. An epoch's time
runs from its start to the end of its last training batch, without validation; the first epoch of every fit, which
warms up, is left out. Kept features are timed before and after the images, and the mean is told. The processor's time
stands beside the ratio of the times by the clock: other processes do not disturb it, but of worker processes it knows
nothing. The accuracies, on all validation images, are those of the same number of epochs both ways.

With --batches an epoch on images is that many batches, and its time is scaled to all of them; the epochs on kept
features are still whole. So few batches train no head to speak of, and the accuracies are then those of one head, of
the kept features, from images and from kept features. Features of heads.py are used again, which are of 32-true; other
precisions keep their own. Without --batches this takes hours on one core, with --batches 2 some twenty minutes.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

from heads import CALM, HEADS, backbones, images
from lightning import Callback, LightningModule, seed_everything
from lightning import Trainer as LightningTrainer

from lit_coiba.backbones import Backbone
from lit_coiba.trainer import Trainer
from lit_coiba.training.classifier import Classifier

REQUIRED = {"LinearHead": 20, "InfoDisentHead": 5}  # times as fast


class Seconds(NamedTuple):
    """Of a training batch."""

    clock: float
    processor: float

    def __sub__(self, earlier: Seconds) -> Seconds:
        return Seconds(self.clock - earlier.clock, self.processor - earlier.processor)

    @classmethod
    def now(cls) -> Seconds:
        """Both clocks."""
        return cls(time.perf_counter(), time.process_time())


class Epochs(Callback):
    """How long each epoch lasted until the end of its last training batch, and how many batches it had."""

    def __init__(self) -> None:
        self.lasted: list[Seconds] = []
        self.batches = 0
        self._start = Seconds(0, 0)

    def on_train_epoch_start(self, trainer: LightningTrainer, pl_module: LightningModule) -> None:
        """The clocks start."""
        self._start = Seconds.now()
        self.lasted.append(Seconds(0, 0))

    def on_train_batch_end(
        self, trainer: LightningTrainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """The clocks stop, unless another batch follows."""
        self.lasted[-1] = Seconds.now() - self._start
        self.batches = batch_idx + 1

    def each(self) -> Seconds:
        """Median time of a batch, over all epochs but the first."""
        later = self.lasted[1:]
        return Seconds(*(median(values) / self.batches for values in zip(*later)))


def fit(
    make: Callable[[], Backbone], title: str, given: Any, kept: bool, batches: int | None = None, val: bool = True
) -> tuple[Epochs, float, Classifier]:
    """Train a head: the times of its epochs, its accuracy after the last (nan without validation), and itself."""
    seed_everything(0, verbose=False)
    head, lr = HEADS[title]
    classifier = Classifier(make(), head, frozen=True, lr=lr, weight_decay=1e-4)
    epochs = Epochs()
    trainer = Trainer(
        max_epochs=given.epochs,
        check_val_every_n_epoch=given.epochs,
        limit_train_batches=batches or 1.0,
        limit_val_batches=None if val else 0,
        num_sanity_val_steps=0,
        precision=given.precision,
        callbacks=[epochs],
        **CALM,
    )
    own = "features" if given.precision == "32-true" else f"features_{given.precision}"
    trainer.fit(classifier, datamodule=images(given), cache=str(given.output / own) if kept else None)
    return epochs, _accuracy(trainer), classifier


def from_images(classifier: Classifier, given: Any) -> float:
    """Accuracy of a head on the validation images."""
    trainer = Trainer(precision=given.precision, **CALM)
    trainer.validate(classifier, datamodule=images(given), verbose=False)
    return _accuracy(trainer)


def _accuracy(trainer: Trainer) -> float:
    found = trainer.callback_metrics.get("val/accuracy")
    return float("nan") if found is None else found.item()


def measure(name: str, make: Callable[[], Backbone], title: str, given: Any) -> None:
    """One row: a head on a backbone."""
    before, of_kept, head = fit(make, title, given, kept=True)
    slow, of_images, _ = fit(make, title, given, kept=False, batches=given.batches, val=given.batches is None)
    if given.batches is not None:
        of_images = from_images(head, given)
    after, _, _ = fit(make, title, given, kept=True, val=False)
    quick = Seconds(*(mean(pair) for pair in zip(before.each(), after.each())))
    ratio, processors = (there / here for there, here in zip(slow.each(), quick))
    whole = before.batches
    print(
        f"| {name} | {title} | {slow.each().clock * whole:.1f} s | {quick.clock * whole:.2f} s | {ratio:.1f}"
        f" | {processors:.1f} | {REQUIRED[title]} | {of_images:.2%} | {of_kept:.2%} |",
        flush=True,
    )


def main() -> None:
    """Train both ways, and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("LIT_COIBA_ASSETS", str(Path(__file__).parents[2] / "shared" / "assets"))
    parser.add_argument("--assets", type=Path, default=Path(default))
    parser.add_argument("--output", type=Path, default=Path("runs/heads"), help="features go to folders in it")
    parser.add_argument("--epochs", type=int, default=3, help="of every fit, at least 2")
    parser.add_argument("--batches", type=int, default=None, help="of an epoch on images; all by default")
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument("--precision", default="32-true", help="of all fits, as the Trainer takes it")
    parser.add_argument("--heads", nargs="+", default=list(REQUIRED), choices=list(REQUIRED))
    parser.add_argument("--backbones", nargs="+", default=None, help="of EfficientNet-Lite0 and ViT-S/14")
    given = parser.parse_args()
    known = backbones(given.assets)
    if given.epochs < 2:
        parser.error("the first epoch is not counted: give at least 2 epochs")
    if unknown := set(given.backbones or ()) - set(known):
        parser.error(f"there is no backbone {', '.join(unknown)}: there are {', '.join(known)}")
    print("| backbone | head | epoch on images | on kept features | times as fast | by processor | required", end="")
    print(" | accuracy from images | from features |\n|---|---|---|---|---|---|---|---|---|")
    for name in given.backbones or known:
        for title in given.heads:
            measure(name, known[name], title, given)


if __name__ == "__main__":
    main()
