"""Degradation: how much faster a class vanishes tile by tile in the order of the map than in the reverse order."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError, check_count
from lit_coiba.core.targets import Targets
from lit_coiba.functional import area_over, curve_at, relevance_gain, step_counts
from lit_coiba.metrics.batch import Model
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.faithfulness.both_orders import BothOrders, both_orders
from lit_coiba.metrics.faithfulness.cells import Cells
from lit_coiba.metrics.faithfulness.removal import OUTPUT, Output, Removal, Removed
from lit_coiba.metrics.faithfulness.removal_metric import RemovalMetric
from lit_coiba.metrics.maps import maps_of, not_finite
from lit_coiba.metrics.shared import Shared
from lit_coiba.perturbation.baselines import Space

POINTS = 101  # of the mean curves
TILE = 8  # pixels; the paper has 8 and 14


class Degradation(RemovalMetric):
    """Area between the class's score when the least (LeRF) and when the most relevant tiles (MoRF) go first.

    Schulz et al., "Restricting the Flow", ICLR 2020 (arXiv 2001.00396), section 4.4. A tile is worth the sum of the map
    in it. `compute` normalizes the mean curves p over the set, ``(p - b) / (t1 - b)``, with the mean score t1 of the
    images and b of the fully degraded ones; the score of a sample is the area that is not normalized. `areas` and
    `mean_curves` have both orders apart. Where tokens are dropped and the model pools patches there is no fully
    degraded image: samples have scores, and what needs b is NaN.

    Args:
        tile: Height and width of a tile in pixels, 8 or 14 in the paper; tiles at the lower and right border may be
            smaller. None = 8, with tokens one patch.
        steps: Number of steps; None = tile by tile, as in the paper.
        baseline: See `RemovalMetric`.
        output: See there.
        space: See there.
        chunk: See there.
        keep_samples: Whether every score is kept.

    Raises:
        InputError: An argument that is not among its choices or out of range.

    Example:
        >>> images, maps = torch.tensor([[[[0.4, 0.3, 0.2, 0.1]]]]), torch.tensor([[[4.0, 3.0, 2.0, 1.0]]])
        >>> total = lambda images: images.sum((1, 2, 3)).unsqueeze(1)
        >>> Degradation(tile=1, output="logit").score(total, images, None, maps)
        tensor([0.2500])
    """

    card = MetricCard(
        "faithfulness",
        "Schulz, Sixt, Tombari and Landgraf, 2020 (arXiv 2001.00396)",
        higher_is_better=True,
        range="-1 to 1 as a probability",
        cost="2 x tiles forwards (1,568 at 224 x 224 pixels), or 2 x steps",
        undefined="the map or the model's score is not finite",
    )
    higher_is_better = card.higher_is_better

    morf_total: Tensor  # (points,) fp64: sum of the defined curves
    lerf_total: Tensor
    morf_area: Tensor  # () fp64: sum of the areas below them
    lerf_area: Tensor

    def __init__(
        self,
        tile: int | None = None,
        steps: int | None = None,
        baseline: Removed | float = "zero",
        output: Output = OUTPUT,
        space: Space = "input",
        chunk: int | None = None,
        keep_samples: bool = False,
    ) -> None:
        super().__init__(baseline, output, space, chunk, keep_samples)
        self.tile = tile
        self.steps = steps
        check_count(1, **{name: v for name, v in (("tile", tile), ("steps", steps)) if v is not None})
        for order in ("morf", "lerf"):
            self.add_state(f"{order}_total", torch.zeros(POINTS, dtype=torch.float64), dist_reduce_fx="sum")
            self.add_state(f"{order}_area", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def measure(self, removal: Removal, maps: Tensor, ids: Sequence[str]) -> Tensor:
        """See `RemovalMetric.measure`."""
        return _between(self._curves(removal, maps))

    def update(
        self,
        model: Model,
        images: Tensor,
        targets: Targets,
        maps: Tensor,
        ids: Sequence[str] | None = None,
        shared: Shared | None = None,
    ) -> None:
        """Add a batch; the arguments are those of `score`."""
        curves = self.curves(model, images, targets, maps, shared)
        scores = _between(curves)
        self._add(scores)
        rows = ~scores.isnan()
        wanted = torch.linspace(0, 1, POINTS, dtype=torch.float64, device=rows.device)
        for name, curve, places in (
            ("morf", curves.mif, curves.mif_places),
            ("lerf", curves.lif, curves.lif_places),
        ):
            points = curve_at(curve[rows], places[rows], wanted).double().sum(0)
            area = area_over(curve[rows], places[rows]).double().sum()
            for state, value in ((f"{name}_total", points), (f"{name}_area", area)):
                setattr(self, state, getattr(self, state) + value.to(self.total.device))

    def compute(self) -> Tensor:
        """Area between the mean curves, normalized over the set, fp64 ``()``; NaN where there is nothing to lose."""
        start, end = (self.morf_total[[0, -1]] / self.count).unbind()
        lost = start - end
        return (self.total / self.count / lost).masked_fill(lost == 0, math.nan)

    def areas(self) -> Tensor:
        """Mean areas below MoRF and LeRF, fp64 ``(2,)``, not normalized; all processes have to ask."""
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            return torch.stack([self.morf_area, self.lerf_area]) / self.count

    def mean_curves(self) -> Tensor:
        """Mean MoRF and LeRF, normalized over the set, at 101 equal shares of the image, fp64 ``(2, 101)``.

        All processes have to ask.
        """
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            means = torch.stack([self.morf_total, self.lerf_total]) / self.count
        return (means - means[0, -1]) / (means[0, 0] - means[0, -1])

    def curves(
        self, model: Model, images: Tensor, targets: Targets, maps: Tensor, shared: Shared | None = None
    ) -> BothOrders:
        """Both curves of each sample; NaN where a map is not finite. Arguments as those of `score`."""
        maps = maps_of(maps, images)
        found = self._curves(self.removal(model, images, targets, shared), maps)
        spoilt = not_finite(maps).unsqueeze(1)
        mif, lif = (curve.masked_fill(spoilt, math.nan) for curve in (found.mif, found.lif))
        return found._replace(mif=mif, lif=lif)

    def forwards(self, size: tuple[int, int]) -> int:
        """See `Metric.forwards`."""
        side = self.tile or TILE
        return 2 * (len(self._counts(math.ceil(size[0] / side) * math.ceil(size[1] / side))) - 1)

    def check(self, size: tuple[int, int]) -> None:
        """See `Metric.check`."""
        super().check(size)
        if (self.tile or TILE) > min(size):
            raise InputError(f"tile is {self.tile or TILE}, but images have {size[0]} x {size[1]} pixels: give less")

    def _counts(self, tiles: int) -> list[int]:
        return step_counts(tiles, steps=tiles if self.steps is None else min(self.steps, tiles))

    def _curves(self, removal: Removal, maps: Tensor) -> BothOrders:
        cells = self._tiles(removal)
        counts = torch.tensor(self._counts(cells.shares.shape[1]), device=maps.device)
        return both_orders(removal, cells, cells.sums(maps), counts.expand(len(maps), -1))

    def _tiles(self, removal: Removal) -> Cells:
        """Tiles on the canvas.

        Raises:
            InputError: They split patches, or are larger than the image.
        """
        patch = tuple(pixels // places for pixels, places in zip(removal.size, removal.canvas))
        sides = patch if self.tile is None and max(patch) > 1 else (self.tile or TILE,) * 2
        if any(side % places for side, places in zip(sides, patch)):
            raise InputError(
                f"tile is {self.tile}, which splits the model's patches of {patch[0]} x {patch[1]} pixels: give a"
                " multiple, or another baseline than tokens"
            )
        self.check(removal.size)
        if not any(pixels % side for pixels, side in zip(removal.size, sides)):
            return Cells.of_grid(removal, (removal.size[0] // sides[0], removal.size[1] // sides[1]))
        device = removal.images.device
        rows, columns = (
            torch.arange(places, device=device) * one // side for places, one, side in zip(removal.canvas, patch, sides)
        )
        return Cells.of_numbers(removal, rows.unsqueeze(1) * math.ceil(removal.size[1] / sides[1]) + columns)


def _between(curves: BothOrders) -> Tensor:
    """Area below LeRF less that below MoRF ``(B,)``."""
    return relevance_gain(curves.lif, curves.mif, curves.lif_places, curves.mif_places).to(curves.mif.dtype)
