"""An interpretable head on the shipped vision transformer: trained in a minute, its prototypes, and decisions by it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from lit_coiba.attribution import HeadAttribution
from lit_coiba.backbones import Backbone
from lit_coiba.backbones.trained import load_trained
from lit_coiba.callbacks.export_weights import save_half
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.module import BlockDataModule, Split
from lit_coiba.data.subset import limited
from lit_coiba.data.synthetic import SyntheticPartsDataset
from lit_coiba.demo.runs import Runner
from lit_coiba.heads import InfoDisentHead
from lit_coiba.heads.description import describe
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.prototype_search import PrototypeSearch
from lit_coiba.prototypes import Prototypes
from lit_coiba.resources import resource
from lit_coiba.store import ExplanationStore
from lit_coiba.trainer.quiet import quiet
from lit_coiba.training.classifier import Classifier

IMAGES: dict[str, int] = {"train": 2000, "val": 500, "test": 12, "predict": 12}  # of each split
EPOCHS = 8
WEIGHTS = "infodisent.safetensors"


class Trained(NamedTuple):
    """What became of it."""

    accuracy: float | None  # on validation images; None = an earlier call trained it
    prototypes: Prototypes
    decisions: ExplanationStore


class FewParts(BlockDataModule):
    """Some images of SyntheticParts, whole objects with one label each."""

    def __init__(self, batch_size: int = 64) -> None:
        super().__init__(batch_size)
        self._drawn: dict[str, ImageDataset] = {}

    def dataset(self, split: Split) -> ImageDataset:
        """The first images of a split; ``predict`` = test."""
        name = "test" if split == "predict" else split
        if name not in self._drawn:
            self._drawn[name] = limited(SyntheticPartsDataset(name, cache=True), IMAGES[split], "first")
        return self._drawn[name]


def explain(runner: Runner, folder: Path) -> Trained:
    """Train an InfoDisent head on the frozen vision transformer, find its prototypes, explain test images by it."""
    data, backbone = FewParts(), Backbone.load(resource("checkpoints/synthetic_parts_vit.safetensors"))
    runner.console.print("[bold]InfoDisent head on the ViT: fit[/bold]", highlight=False)
    accuracy = _trained(runner, backbone, data, folder)
    runner.console.print("[bold]InfoDisent head on the ViT: prototypes and decisions[/bold]", highlight=False)
    with quiet():
        found = runner.trainer().prototypes(PrototypeSearch(backbone), data, str(folder / "prototypes"), pages=2)
        explainer = Explainer(backbone, HeadAttribution(prototypes=str(folder / "prototypes")))
        decisions = runner.trainer().explain(explainer, data, str(folder / "HeadAttribution"))
    return Trained(accuracy, found, decisions)


def _trained(runner: Runner, backbone: Backbone, data: FewParts, folder: Path) -> float | None:
    """Train the head, or take the one that an earlier call has trained; accuracy where it was trained now."""
    file = folder / WEIGHTS
    if file.exists():
        load_trained(backbone, str(file))
        return None
    torch.manual_seed(0)
    classifier = Classifier(backbone, partial(InfoDisentHead, pooling="hard"), frozen=True, lr=5e-3, weight_decay=1e-4)
    with quiet():
        trainer = runner.fitting(EPOCHS)
        trainer.fit(classifier, datamodule=data, cache=str(folder / "features"))
    assert isinstance(backbone.head, InfoDisentHead)
    save_half(backbone.model, file, {"backbone": backbone.arguments, "head": describe(backbone.head)})
    load_trained(backbone, str(file))  # as the next call will have it
    return float(trainer.callback_metrics["val/accuracy"])
