"""One model, one dataset, four methods: what the demo runs on each."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console
from torch import Tensor

from lit_coiba.attribution import IBA, CoIBA, RandomMap, Saliency
from lit_coiba.backbones import Backbone
from lit_coiba.callbacks.stopwatch import Stopwatch
from lit_coiba.contracts import AttributionMethod
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.module import BlockDataModule
from lit_coiba.data.transforms import Transform
from lit_coiba.functional import Interval, bootstrap_interval, energy_inside, resize_map
from lit_coiba.modules.explainer import Explainer
from lit_coiba.quiet import quiet
from lit_coiba.store import ExplanationStore
from lit_coiba.trainer import Trainer

COPIES = 4  # noise copies in pairs of opposite sign: the preset `fast`
SPEED = "images_per_second.txt"  # beside the blocks of a store


class Energy(NamedTuple):
    """Where the maps of one method lie."""

    interval: Interval  # mean share of the maps on the object, with its 95% bootstrap interval
    chance: float  # mean share of the area that the object takes


class Outcome(NamedTuple):
    """One method on one model."""

    model: str
    method: str
    store: ExplanationStore
    dataset: ImageDataset
    transform: Transform
    rate: float | None  # images per second
    energy: Energy | None  # None = nobody knows where the evidence is

    @property
    def sheet(self) -> Path:
        """The contact sheet."""
        return self.store.path / "contact_sheet.png"


class Runner:
    """Explains datasets and says what it does.

    Args:
        console: Where to say it.
        steps: Passes of CoIBA and IBA.
    """

    def __init__(self, console: Console, steps: int) -> None:
        self.console = console
        self.steps = steps
        self.watch = Stopwatch()

    def methods(self, statistics: str | None) -> dict[str, AttributionMethod]:
        """The methods by name; the bottlenecks with activation statistics from a file, if there is one."""
        fast: dict[str, Any] = {"statistics": statistics, "steps": self.steps, "copies": COPIES, "antithetic": True}
        return {"CoIBA": CoIBA(**fast), "IBA": IBA(**fast), "Saliency": Saliency(), "Random": RandomMap()}

    def explain(
        self,
        model: str,
        backbone: Backbone,
        data: BlockDataModule,
        folder: Path,
        limit: int | None = None,
        statistics: str | None = None,
    ) -> list[Outcome]:
        """Explain `data` by every method, each into a store of its own below `folder`.

        Args:
            model: What the model is called.
            backbone: The model.
            data: The images.
            folder: Where the stores go.
            limit: Explain this many images only.
            statistics: File with activation statistics; None = estimate them over `data`.
        """
        outcomes = []
        for name, method in self.methods(statistics).items():
            self.console.print(f"[bold]{model}: {name}[/bold]", highlight=False)
            self.watch.reset()
            with quiet():
                store = self.trainer().explain(Explainer(backbone, method), data, str(folder / name.lower()), limit)
            transform = Transform(backbone.preprocessing)
            energy = measure(store, data.explained, transform)
            outcomes.append(Outcome(model, name, store, data.explained, transform, self._rate(store), energy))
        return outcomes

    def statistics(self, backbone: Backbone, data: BlockDataModule, file: Path) -> str:
        """Activation statistics over `data` for both bottlenecks, unless `file` has them already."""
        if not file.exists():
            with quiet():
                self.trainer().statistics(Explainer(backbone, CoIBA()), data, str(file))
        return str(file)

    def trainer(self) -> Trainer:
        """A Trainer that keeps nothing but what it is told to."""
        return Trainer(
            precision="auto",
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            callbacks=[self.watch],
        )

    def _rate(self, store: ExplanationStore) -> float | None:
        """Images per second of this run or, where there was nothing left to do, of the run before."""
        file = store.path / SPEED
        if self.watch.rate is not None:
            file.write_text(f"{self.watch.rate:.6g}\n")
        return float(file.read_text()) if file.exists() else None


def measure(store: ExplanationStore, dataset: ImageDataset, transform: Transform) -> Energy | None:
    """Share of each map on the object, in pixels of the model's input; None where no region is known."""
    places = {sample: index for index, sample in enumerate(dataset.ids)}
    energies: list[Tensor] = []
    areas: list[Tensor] = []
    for row in store:
        mask = dataset.region(places[row.id])
        if mask is None:
            return None
        region = transform.region(mask)[None]
        energies.append(energy_inside(resize_map(row.map[None], (region.shape[1], region.shape[2])), region))
        areas.append(region.float().mean())
    if not energies:
        return None
    return Energy(bootstrap_interval(torch.cat(energies)), float(torch.stack(areas).mean()))
