"""One model, one dataset, a handful of methods: what the demo runs on each."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from lit_coiba.attribution import IBA, CoIBA, RandomMap, ReadoutCoIBA, Saliency
from lit_coiba.backbones import Backbone
from lit_coiba.benchmark import Leaderboard
from lit_coiba.callbacks.stopwatch import Stopwatch
from lit_coiba.core.method import AttributionMethod
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.module import BlockDataModule
from lit_coiba.data.transforms import Transform
from lit_coiba.files.atomic import atomically
from lit_coiba.files.owned import begins, is_foreign
from lit_coiba.files.regular import read_bytes
from lit_coiba.metrics.metric import Metric
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.scorer import Scorer
from lit_coiba.store import ExplanationStore
from lit_coiba.trainer import Trainer
from lit_coiba.trainer.quiet import quiet

COPIES = 4  # noise copies in pairs of opposite sign: the preset `fast`
SPEED = "images_per_second.txt"  # beside the blocks of a store


class Explained(NamedTuple):
    """One model on one dataset, by every method."""

    model: str
    dataset: ImageDataset
    transform: Transform
    stores: dict[str, ExplanationStore]  # method -> its maps
    rates: dict[str, float | None]  # method -> images per second
    board: Leaderboard | None  # None = nobody knows where the evidence is

    def sheet(self, method: str) -> Path:
        """The contact sheet of a method."""
        return self.stores[method].path / "contact_sheet.png"


class Runner:
    """Explains datasets and says what it does.

    Args:
        console: Console to print on.
        steps: Passes of CoIBA and IBA.
    """

    def __init__(self, console: Console, steps: int) -> None:
        self.console = console
        self.steps = steps
        self.watch = Stopwatch()

    def methods(self, statistics: str | None, readout: str | None = None) -> dict[str, AttributionMethod]:
        """The methods by name; bottlenecks with activation statistics from a file, and a readout, where there are."""
        fast: dict[str, Any] = {"statistics": statistics, "steps": self.steps, "copies": COPIES, "antithetic": True}
        amortized = {"ReadoutCoIBA": ReadoutCoIBA(readout)} if readout is not None else {}
        others = {"IBA": IBA(**fast), "Saliency": Saliency(), "Random": RandomMap()}
        return {"CoIBA": CoIBA(**fast), **amortized, **others}

    def explain(
        self,
        model: str,
        backbone: Backbone,
        data: BlockDataModule,
        folder: Path,
        limit: int | None = None,
        statistics: str | None = None,
        metrics: dict[str, Metric] | None = None,
        readout: str | None = None,
    ) -> Explained:
        """Explain `data` by every method, each into a store of its own below `folder`.

        Args:
            model: What the model is called.
            backbone: The model.
            data: The images.
            folder: Folder of the stores.
            limit: Explain this many images only.
            statistics: File with activation statistics; None = estimate them over `data`.
            metrics: What the maps are scored by, into one table; None = they are not.
            readout: File of a readout that was trained for this model; None = none is used.
        """
        stores, rates = dict[str, ExplanationStore](), dict[str, float | None]()
        for name, method in self.methods(statistics, readout).items():
            self.console.print(f"[bold]{model}: {name}[/bold]", highlight=False)
            self.watch.reset()
            with quiet(), warnings.catch_warnings():
                warnings.filterwarnings("ignore", ".*are read first for activation statistics")  # the demo is about few
                stores[name] = self.trainer().explain(Explainer(backbone, method), data, str(folder / name), limit)
            rates[name] = self._rate(stores[name])
        transform, board = Transform(backbone.preprocessing), None
        if metrics is not None:
            self.console.print(f"[bold]{model}: scores[/bold]", highlight=False)
            folders = [str(store.path) for store in stores.values()]
            with quiet():
                scorer = Scorer(backbone, metrics)
                board = self.trainer().benchmark(scorer, data, folders, str(folder / "scores"), limit)
        return Explained(model, data.explained, transform, stores, rates, board)

    def statistics(self, backbone: Backbone, data: BlockDataModule, file: Path) -> str:
        """Activation statistics over `data` for both bottlenecks, unless `file` has them already."""
        if not file.exists():
            with quiet():
                self.trainer().statistics(Explainer(backbone, CoIBA()), data, str(file))
        return str(file)

    def trainer(self) -> Trainer:
        """A Trainer that writes nothing but the store."""
        return Trainer(
            precision="auto",
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            callbacks=[self.watch],
        )

    def fitting(self, epochs: int) -> Trainer:
        """A Trainer that trains, validates at the end, and keeps nothing."""
        kept: dict[str, Any] = dict.fromkeys(("logger", "enable_checkpointing", "enable_model_summary"), False)
        return Trainer(devices=1, max_epochs=epochs, check_val_every_n_epoch=epochs, **kept)

    def _rate(self, store: ExplanationStore) -> float | None:
        """Images per second of this run or, where there was nothing left to do, of the run before."""
        file = store.path / SPEED
        if self.watch.rate is not None and not is_foreign(file, begins(*"0123456789")):
            with atomically(file) as out:
                out.write(f"{self.watch.rate:.6g}\n".encode())
        try:
            return float(read_bytes(file))
        except (OSError, ValueError):  # of a run that was killed, or nobody's: a speed is no result
            return None
