"""Many things to visualize, shared out among processes by files, each put on disk as soon as it is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from lit_coiba.callbacks.item_progress import ItemProgress
from lit_coiba.core.class_identity import class_identity
from lit_coiba.core.errors import InputError
from lit_coiba.feature_visualization.chosen import Chosen
from lit_coiba.feature_visualization.held_out import see, transferred
from lit_coiba.feature_visualization.visualization_item import (
    VisualizationItem,
    finite,
    is_whole,
    read_item,
    write_item,
)
from lit_coiba.feature_visualization.visualization_run import ITEMS
from lit_coiba.files.claims import Claims
from lit_coiba.modules.visualization import VisualizationModule
from lit_coiba.trainer.termination import Termination

CLAIMS = ".claims"  # folder of what processes have in hand
WAIT = 0.2  # seconds between two looks at what others have in hand


class VisualizationWork:
    """Things to visualize, and the folder that the results go into.

    Args:
        module: Model and visualizer, on the device.
        chosen: The things.
        folder: Folder of all results.
        others: Other models by name, on the device.
        batch_size: Number of things at once.
        termination: Handler of signals.
    """

    def __init__(
        self,
        module: VisualizationModule,
        chosen: Sequence[Chosen],
        folder: Path,
        others: Mapping[str, Any],
        batch_size: int,
        termination: Termination,
    ) -> None:
        self._module, self._others, self._batch_size, self._termination = module, others, batch_size, termination
        self._chosen, self._items = list(chosen), folder / ITEMS
        self._claims = Claims(folder / CLAIMS)
        self._done = {one.key for one in chosen if self._is_done(one)}

    def missing(self) -> list[Chosen]:
        """What nobody has done yet."""
        self._done |= {one.key for one in self._chosen if one.key not in self._done and self._is_done(one)}
        return [one for one in self._chosen if one.key not in self._done]

    def run(self, rank: int, ranks: int, progress: ItemProgress) -> None:
        """Do all that no other process does, and wait for those that do: first the share of this process.

        Args:
            rank: Number of this process.
            ranks: Number of processes of the run.
            progress: Told how far all is.
        """
        progress.begin(len(self._done))
        while missing := self.missing():
            progress.tell(len(self._done))
            own = [one for place, one in enumerate(self._chosen) if place % ranks == rank]
            first = {one.key for one in own}
            batch = self._taken(sorted(missing, key=lambda one: one.key not in first))
            if not batch:
                time.sleep(WAIT)
                continue
            try:
                self._do(batch, lambda share: progress.tell(len(self._done) + share))
            finally:
                self._claims.release([one.key for one in batch])
        progress.tell(len(self._done))

    def _is_done(self, one: Chosen) -> bool:
        """Whether the thing is there, whole.

        Raises:
            InputError: Something else has its name.
        """
        try:
            found = read_item(self._items / one.key)
        except (OSError, InputError):  # missing, or damaged
            return False
        if found.of != one.of:
            raise InputError(
                f"output has another {one.key} than the one that is asked for: give another folder for these"
            )
        return True

    def _taken(self, missing: Sequence[Chosen]) -> list[Chosen]:
        """As many things as are done at once, which no other process has in hand."""
        batch: list[Chosen] = []
        for one in missing:
            if len(batch) == self._batch_size:
                break
            if self._claims.take(one.key):
                if is_whole(self._items / one.key):  # done between the look and this
                    self._claims.release([one.key])
                else:
                    batch.append(one)
        return batch

    def _do(self, batch: Sequence[Chosen], tell: Callable[[float], None]) -> None:
        """Visualize some things, and put them in place."""
        visualizer, model = self._module.visualizer, self._module.network

        def step(done: int) -> None:
            self._claims.beat()
            tell(len(batch) * done / visualizer.steps)

        objectives = [one.objective for one in batch]
        found = visualizer.visualize(model, objectives, tell=step)
        pictures, alpha, scores = found.stretched(), found.alpha, found.scores
        for place, one in enumerate(batch):
            image = found.images[place : place + 1].float()
            seen = see(model, image, objectives[place : place + 1])
            item = VisualizationItem(
                key=one.key,
                kind=one.kind,
                name=one.name,
                method=class_identity(type(visualizer)),
                steps=visualizer.steps,
                of=one.of,
                score_first=float(scores[place, 0]),
                score_last=float(scores[place, -1]),
                cls=one.cls,
                concept=one.concept,
                layer=one.layer,
                unit=one.unit,
                side=one.side,  # type: ignore[arg-type]
                magnitude_error=finite(float(found.magnitude_error[place])),
                held_out=finite(float(seen.scores[0])),
                transferability=self._transferred(one, image),
            )
            self._claims.beat()
            self._termination.begin()
            features = None if seen.features is None else seen.features[0]
            write_item(self._items, item, pictures[place], alpha[place], features)
            self._termination.end()

    def _transferred(self, one: Chosen, image: torch.Tensor) -> dict[str, tuple[float, float]]:
        if one.kind != "class" or one.cls is None:
            return {}
        return {name: transferred(other, image, [one.cls])[0] for name, other in self._others.items()}
