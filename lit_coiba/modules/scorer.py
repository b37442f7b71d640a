"""Score explanations: a model and metrics, run by ``Trainer.benchmark`` block by block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from lit_coiba.backbones import Backbone
from lit_coiba.core.batch import Batch, Failure
from lit_coiba.core.errors import InputError, warn
from lit_coiba.core.printable import a_kind, listed
from lit_coiba.core.targets import ResolvedClass, resolve
from lit_coiba.core.targets.class_target import class_rows
from lit_coiba.heads.head import Head
from lit_coiba.metrics import Deletion, EnergyPointing, Insertion, PointingGame, RelevanceRank
from lit_coiba.metrics.batch import INGREDIENTS, Explain, ScoredBatch
from lit_coiba.metrics.faithfulness.removal import clean_key
from lit_coiba.metrics.metric import Metric
from lit_coiba.metrics.shared import Shared
from lit_coiba.modules.block_module import BlockModule
from lit_coiba.store import BlockRecord
from lit_coiba.store.records import Records

# Field of a batch -> what metrics of it need, where it comes from, and what is undefined without it.
_PLACES = {
    "regions": (
        "boxes or masks of the objects",
        "--data.csv with x_min, y_min, x_max, y_max",
        "a known object",
    ),
    "importances": ("importance maps of people", "--data.importance DIR", "such a map"),
}

Keys = dict[str, list[int]]  # sample id -> classes that it is explained for


class Source(ABC):
    """Where the maps come from that are scored.

    Args:
        keys: What is scored: the same for all sources of a table.
    """

    identity: Any  # plain values: what decides the maps
    settings: Mapping[str, Any] = MappingProxyType({})  # class and arguments of the method, as plain values
    method: Explain | None = None  # what makes them, for metrics that explain again; None = not known

    def __init__(self, keys: Keys) -> None:
        self.keys = keys

    def targets(self, sample: str) -> list[int]:
        """Classes that a sample is scored for; none if it is left out."""
        return self.keys.get(sample, [])

    @abstractmethod
    def maps(self, network: Backbone, images: Tensor, ids: list[str], targets: Tensor) -> Tensor:
        """Maps ``(R, h, w)`` of images ``(R, 3, H, W)`` for targets ``(R,)``, one sample id for each."""


class Regions(Protocol):
    """Where the objects are."""

    @property
    def known(self) -> bool:
        """Whether it is known for some sample."""

    def of(self, sample: str) -> Tensor | None:
        """Mask ``(H, W)``, bool, at the model's input; None = unknown."""

    def suppressor(self, sample: str) -> Tensor | None:
        """What is no evidence, but of use to a model: a mask as of the object; None = unknown."""

    @property
    def mapped(self) -> bool:
        """Whether people have said of some sample where the evidence is."""

    def importance(self, sample: str) -> Tensor | None:
        """Where people say the evidence is, float32 ``(H, W)``, at the model's input; None = unknown."""


class Where(NamedTuple):
    """What is known of places in one sample, as the fields of `ScoredBatch`; None = unknown."""

    region: Tensor | None = None
    suppressor: Tensor | None = None
    importance: Tensor | None = None


class Scorer(BlockModule):
    """A model and the metrics that score its explanations, for the Trainer's `benchmark`.

    Args:
        backbone: The model that was explained.
        metrics: Metrics by the names of their columns. None: insertion and deletion by rows of pixels with RISE's
            settings, and, if the data know where the object is, the pointing game, the energy inside and the relevance
            rank.
        weights: File with the weights of a trained classifier, the same as for the explanations.
        head: Class of that classifier's head, if it is one of your own: a file never imports a class.

    Raises:
        InputError: A metric needs what no `ScoredBatch` has.
    """

    sources: Mapping[str, Source]  # what is scored, by row of the table; set by the Trainer, as are the others
    regions: Regions
    lacking: Mapping[str, Collection[int]] | None  # blocks that each source still lacks; None = all

    def __init__(
        self,
        backbone: Backbone,
        metrics: dict[str, Metric] | None = None,
        weights: str | None = None,
        head: type[Head] | None = None,
    ) -> None:
        super().__init__(backbone, weights, head)
        self.check_classes()
        self.lacking = None
        self.metrics = usual_metrics() if metrics is None else metrics
        self.chosen = metrics is not None  # by the user, who wants to know what cannot be measured
        for name, metric in self.metrics.items():
            if (needs := getattr(metric, "needs", None)) is None:
                raise InputError(
                    f"metrics: {name} is {a_kind(metric)}, which does not score explanations: give a "
                    "lit_coiba.metrics.Metric"
                )
            if unknown := sorted(set(needs) - set(INGREDIENTS)):
                raise InputError(
                    f"metrics: {name} needs {' and '.join(unknown)}, which explanations in a store do not come with:"
                    f" leave it out, or choose one that needs no more than {', '.join(INGREDIENTS)}"
                )

    @classmethod
    def of(cls, module: BlockModule, metrics: dict[str, Metric]) -> Scorer:
        """The model of another module, and metrics."""
        scorer = cls(module.network, metrics)
        scorer.weights = module.weights
        return scorer

    def check_metrics(self, regions: Regions) -> None:
        """Say before the run what cannot be measured.

        Args:
            regions: Where the objects are.

        Raises:
            InputError: The model's images are none that a metric's settings can be used on, or no metric can be
                computed.
        """
        for metric in self.metrics.values():
            metric.check(self.preprocessing.size)
        for field, (need, remedy, without) in _PLACES.items():
            blind = [name for name, metric in self.metrics.items() if field in metric.needs]
            if not blind or not self.chosen or (regions.known if field == "regions" else regions.mapped):
                continue
            what = f"metrics: {listed(blind)} need {need}, and no image has any"
            if len(blind) == len(self.metrics):
                raise InputError(f"{what}: give them with the data, such as {remedy}, or choose other metrics")
            warn(f"{what}: these metrics are undefined for all images without {without}")

    def predict_step(self, batch: Batch) -> Records:
        """Scores of one block by every source that lacks it: a number per metric in the place of extras, and no map.

        All sources have the same rows, so what does not depend on a map is computed once for all of them.
        """
        batch, places = self._located(batch)
        rows = self._rows(batch)
        ids = [batch.ids[i] for i in rows.image.tolist()]
        labels = batch.labels.to(rows.image.device)[rows.image].cpu()
        names = [name for name in self.sources if self.lacking is None or batch.block in self.lacking[name]]
        images = self.network.ordered(batch.images[rows.image]) if len(rows) else batch.images[:0]
        probabilities, shared = torch.empty(0), Shared()
        if len(rows):
            resolved = resolve(rows.index, images, self.network.num_classes, lambda: self.network(images))
            with torch.no_grad():
                clean = shared.get(clean_key(self.network), lambda: self.network(images))
                probabilities = clean.float().softmax(-1).gather(1, rows.index[:, None])[:, 0].cpu()
        found = [places[name] for name in ids]
        where = (
            _stacked([one.region for one in found], images),
            _stacked([one.suppressor for one in found], images),
            _stacked([one.importance for one in found], images, torch.nan),
        )
        records = {}
        for name in names:
            source = self.sources[name]
            scores = dict.fromkeys(self.metrics, torch.empty(0))
            if len(rows):
                maps = source.maps(self.network, images, ids, rows.index).to(images.device)
                scored = ScoredBatch(
                    self.network, images, resolved, maps, tuple(ids), *where, method=source.method, shared=shared
                )
                scores = {
                    column + part: values
                    for column, metric in self.metrics.items()
                    for part, values in _details(metric, scored).items()
                }
            records[name] = BlockRecord(
                block=batch.block,
                ids=tuple(ids),
                targets=rows.index.cpu(),
                labels=labels,
                probabilities=probabilities,
                maps=torch.empty(len(rows), 0, 0),
                extras={name: value.cpu() for name, value in scores.items()},
                failures=tuple(batch.failures),
            )
        return Records(records, tuple(batch.failures))

    def _rows(self, batch: Batch) -> ResolvedClass:
        """The classes that each image of a block is scored for."""
        pairs = [(i, target) for i, name in enumerate(batch.ids) for target in self._targets(name)]
        image, index = torch.tensor(pairs, dtype=torch.long, device=batch.images.device).reshape(-1, 2).unbind(1)
        return class_rows(index.contiguous(), self.network.num_classes, image.contiguous())

    def _targets(self, sample: str) -> list[int]:
        """Classes that a sample is scored for, the same in all sources."""
        return next(iter(self.sources.values())).targets(sample)

    def _located(self, batch: Batch) -> tuple[Batch, dict[str, Where]]:
        """What is known of places in a block, and the block with images as failures whose annotation makes no sense."""
        found: dict[str, Where] = {}
        asked = {name for metric in self.metrics.values() for name in metric.needs}
        failures = list(batch.failures)
        for name in batch.ids:
            try:
                found[name] = self._places(name, asked) if self._targets(name) else Where()
            except Exception as error:  # noqa: PERF203 - whatever a user's dataset raises, each has its own reason
                failures.append(Failure.of(name, error))
        kept = [i for i, name in enumerate(batch.ids) if name in found]
        if len(kept) < len(batch.ids):
            ids = tuple(batch.ids[i] for i in kept)
            batch = Batch(batch.images[kept], ids, batch.labels[kept], batch.block, tuple(failures))
        return batch, found

    def _places(self, sample: str, asked: Collection[str]) -> Where:
        """Where the object is, and what else of the fields that metrics ask for."""
        return Where(
            self.regions.of(sample),
            self.regions.suppressor(sample) if "suppressors" in asked else None,
            self.regions.importance(sample) if "importances" in asked else None,
        )


def _stacked(found: Sequence[Tensor | None], images: Tensor, unknown: float = False) -> Tensor | None:
    """Masks or maps ``(R, H, W)``, `unknown` everywhere where one is not known; None = all unknown.

    An empty mask and a map of NaN are what the metrics leave out.
    """
    if all(one is None for one in found):
        return None
    nothing = torch.full(images.shape[-2:], unknown)
    return torch.stack([nothing if one is None else one.to(nothing.dtype) for one in found]).to(images.device)


def _details(metric: Metric, batch: ScoredBatch) -> dict[str, Tensor]:
    """Scores ``(R,)`` and what else a metric keeps; undefined where the batch lacks what the metric needs."""
    return {"": torch.full((len(batch),), torch.nan)} if batch.lacking(metric.needs) else metric.details(batch)


def usual_metrics() -> dict[str, Metric]:
    """What is measured where nothing is asked for."""
    return {
        "insertion": Insertion(),
        "deletion": Deletion(),
        "pointing": PointingGame(),
        "energy": EnergyPointing(),
        "relevance_rank": RelevanceRank(),
    }
