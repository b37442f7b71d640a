"""Train a readout on the metric itself: the order in which cells are removed, instead of bits that have to pass.

Learn to Rank, 2026 (arXiv 2604.05819): soft orders by Sinkhorn's algorithm. The features of the explained model, and a
map for each class, are ours.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lit_coiba.backbones import Backbone
from lit_coiba.bottlenecks.coiba import CoIBA
from lit_coiba.bottlenecks.readout.position_readout import PositionReadout
from lit_coiba.bottlenecks.readout.read_layers import read_layers
from lit_coiba.bottlenecks.readout.site import PositionSite
from lit_coiba.bottlenecks.readout.trained_readout import ReadoutHeader
from lit_coiba.bottlenecks.statistics import ActivationStatistics
from lit_coiba.core.errors import InputError, check_count
from lit_coiba.losses.soft_ranking import CURVE, SIDES, SoftRanking, ranking_loss
from lit_coiba.training.readout import HELD_OUT, Readout

WARM, COLD = 1.0, 0.3  # temperature of the soft order at the beginning and at the end of a training


class RankingReadout(Readout):
    """Learned ranking in training: one less the area between the curves of a soft order and of its reverse.

    Images need no labels: seven of ten are explained for the predicted class, the others for one of the next four. Each
    step draws one grid of cells and one reference, and costs ``2 points`` forwards and backwards an image. The loggers
    get ``lr`` and ``loss`` of ``train`` and ``val``; TensorBoard also shows the maps of a few held-out images. ::

        module = RankingReadout(backbone)
        Trainer(max_epochs=1, callbacks=[ExportReadout("ranking.safetensors")]).fit(module, datamodule=data)
        LearnedRanking("ranking.safetensors").attribute(backbone, images)

    The other arguments are those of `Readout`.

    Args:
        backbone: The model, which stays as it is.
        layers: Layers whose first one has the grid of the map; None = the bottleneck layers of `CoIBA`.
        read: Layers that are read, the first of `layers` first; None = see `read_layers`.
        gradient: Whether the gradient of the target's score with respect to the bottleneck layers is read too.
        width: Channels inside the readout.
        sides: Fewest and most rows and columns of the grids of cells.
        points: Number of points of a removal curve.
        lr: Peak learning rate of AdamW.
        weight_decay: Weight decay of matrices.
        warmup: Share of all steps during which the learning rate rises; then it falls to 0 along a cosine.

    Raises:
        InputError: The model has no classes or no layer on a grid, or a number is outside its range.
    """

    def __init__(
        self,
        backbone: Backbone,
        layers: list[str] | None = None,
        read: list[str] | None = None,
        gradient: bool = True,
        width: int = 128,
        sides: tuple[int, int] = SIDES,
        points: int = CURVE,
        lr: float = 3e-4,
        weight_decay: float = 1e-3,
        warmup: float = 0.06,
        **readout: Any,
    ) -> None:
        super().__init__(backbone, lr=lr, weight_decay=weight_decay, warmup=warmup, **readout)
        check_count(2, points=points, fewest_side=sides[0], most_side=sides[1])
        check_count(width=width)
        if sides[0] > sides[1]:
            raise InputError(f"sides is {sides}: give the fewest rows first")
        self.layers, self.read, self.gradient, self.width = layers, read, gradient, width
        self.sides, self.points = sides, points

    def _method(self) -> CoIBA:
        return CoIBA(self.layers, self.statistics, seed=self.seed)

    def _describe(self, statistics: ActivationStatistics) -> ReadoutHeader:
        layers = self.backbone.split(self._method().chosen_layers(statistics)).layers
        read = self.read or read_layers(self.backbone, layers)
        return self._header("ranking", layers, read, gradient=self.gradient, width=self.width)

    def _build(self, about: ReadoutHeader, statistics: ActivationStatistics) -> PositionReadout:
        self._site = PositionSite(self.backbone, about, statistics)
        return self._site.network(bound=False)

    def _losses(self, images: Tensor, keys: list[str], step: int) -> dict[str, Tensor]:
        site = self._site
        clean = site.reader.forward(images)
        targets = self._targets(clean.out, keys, step)
        reading = site.reader.read(clean, targets)
        assert self.readout is not None
        maps = site.reader.first.to_map(self.readout(reading.features, reading.directions))
        held_out = step == HELD_OUT
        done = 1.0 if held_out else min(1.0, step / self.trainer.estimated_stepping_batches)
        temperature = WARM + (COLD - WARM) * done
        ranking = SoftRanking(temperature, self.seed, 0 if held_out else step, self.sides, self.points)
        found = {"loss": ranking_loss(ranking, self.backbone, maps, images, targets).mean()}
        return {**found, "maps": maps.detach()} if held_out else found
