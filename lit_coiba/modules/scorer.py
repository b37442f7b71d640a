"""Score explanations: a model and metrics, run by ``Trainer.benchmark`` block by block."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from lit_coiba.backbones import Backbone
from lit_coiba.core.batch import Batch
from lit_coiba.core.errors import InputError
from lit_coiba.core.targets.class_target import ResolvedClass, class_rows
from lit_coiba.heads.head import Head
from lit_coiba.metrics import Deletion, EnergyPointing, Insertion, PointingGame, RelevanceRank
from lit_coiba.metrics.metric import Faithfulness, Localisation, Metric
from lit_coiba.modules.block_module import BlockModule
from lit_coiba.store import BlockRecord


class Source(Protocol):
    """Where the maps come from that are scored."""

    identity: Any  # plain values: what decides the maps

    def targets(self, sample: str) -> list[int]:
        """Classes that a sample is scored for; none if it is left out."""

    def maps(self, network: Backbone, images: Tensor, ids: list[str], targets: Tensor) -> Tensor:
        """Maps ``(R, h, w)`` of images ``(R, 3, H, W)`` for targets ``(R,)``, one sample id for each."""


class Regions(Protocol):
    """Where the objects are."""

    def of(self, sample: str) -> Tensor | None:
        """Mask ``(H, W)``, bool, at the model's input; None = unknown."""


class Scorer(BlockModule):
    """Metrics of the explanations of one model.

    Args:
        backbone: The model that was explained.
        metrics: What is measured, by the name of its column. None: insertion and deletion by rows of pixels with RISE's
            settings, and, where the data know where the object is, pointing, energy inside and relevance rank.
        weights: Weights of a trained classifier, as the explanations were made with.
        head: The class of that classifier's head, where it is one of your own: a file never imports a class.

    Raises:
        InputError: A metric of a family that takes more than a map.
    """

    source: Source  # what is scored; set by the Trainer, as are the regions
    regions: Regions

    def __init__(
        self,
        backbone: Backbone,
        metrics: dict[str, Metric] | None = None,
        weights: str | None = None,
        head: type[Head] | None = None,
    ) -> None:
        super().__init__(backbone, weights, head)
        self.metrics = usual_metrics() if metrics is None else metrics
        for name, metric in self.metrics.items():
            if not isinstance(metric, Faithfulness | Localisation):
                raise InputError(f"metrics: {name} is a {type(metric).__name__}, which cannot be scored from a store")

    def predict_step(self, batch: Batch) -> BlockRecord:
        """Scores of one block: a row per (id, target) with a number per metric in the place of extras, and no map."""
        rows = self._rows(batch)
        index, targets = rows.image, rows.index
        ids = [batch.ids[i] for i in index.tolist()]
        scores = {name: torch.empty(0) for name in self.metrics}
        probabilities = torch.empty(0)
        if len(rows):
            images = self.network.ordered(batch.images[index])
            maps = self.source.maps(self.network, images, ids, targets).to(images.device)
            regions = self._regions(ids, images)
            scores = {
                name: self._score(metric, images, targets, maps, regions) for name, metric in self.metrics.items()
            }
            with torch.no_grad():
                probabilities = self.network(images).float().softmax(-1).gather(1, targets[:, None])[:, 0].cpu()
        return BlockRecord(
            block=batch.block,
            ids=tuple(ids),
            targets=targets.cpu(),
            labels=batch.labels.to(index.device)[index].cpu(),
            probabilities=probabilities,
            maps=torch.empty(len(rows), 0, 0),
            extras={name: value.cpu() for name, value in scores.items()},
            failures=tuple(batch.failures),
        )

    def _rows(self, batch: Batch) -> ResolvedClass:
        """The classes that each image of a block is scored for."""
        pairs = [(i, target) for i, name in enumerate(batch.ids) for target in self.source.targets(name)]
        image, index = torch.tensor(pairs, dtype=torch.long, device=batch.images.device).reshape(-1, 2).unbind(1)
        return class_rows(index.contiguous(), self.network.num_classes, image.contiguous())

    def _score(self, metric: Metric, images: Tensor, targets: Tensor, maps: Tensor, regions: Tensor) -> Tensor:
        if isinstance(metric, Faithfulness):
            return metric.score(self.network, images, targets, maps)
        return metric.score(maps, regions)

    def _regions(self, ids: list[str], images: Tensor) -> Tensor:
        """Masks ``(R, H, W)``; an empty one where it is not known, which the metrics leave out."""
        nothing = torch.zeros(images.shape[-2:], dtype=torch.bool)
        found = [self.regions.of(name) for name in ids]
        return torch.stack([nothing if region is None else region.bool() for region in found]).to(images.device)


def usual_metrics() -> dict[str, Metric]:
    """What is measured where nothing is asked for."""
    return {
        "insertion": Insertion(),
        "deletion": Deletion(),
        "pointing": PointingGame(),
        "energy": EnergyPointing(),
        "relevance_rank": RelevanceRank(),
    }
