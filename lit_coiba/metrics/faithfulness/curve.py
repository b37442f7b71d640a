"""Perturbation curves: rank -> masks -> batched forward -> curve, the one engine of insertion and deletion."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.core.targets import Targets
from lit_coiba.functional import (
    area_under_curve,
    cell_values,
    noise,
    ranks,
    resample_curve,
    spread_cells,
    step_counts,
)
from lit_coiba.metrics.batch import Model, ScoredBatch
from lit_coiba.metrics.faithfulness.faithfulness import Faithfulness
from lit_coiba.metrics.faithfulness.removal import OUTPUT, Output, Removal, Removed, settled_baseline
from lit_coiba.metrics.maps import maps_of, not_finite
from lit_coiba.metrics.metric import Metric
from lit_coiba.metrics.shared import Shared
from lit_coiba.perturbation.baselines import BaselineImages, Space, Window

Preset = Literal["rise", "coiba"]
Order = Literal["morf", "lerf", "random"]
Ties = Literal["first", "last"]

PRESETS: dict[str, dict[str, Any]] = {
    "rise": {"space": "input", "rows": 1, "blur": "rise", "blur_size": 11, "blur_sigma": 5.0},
    "coiba": {"space": "pixels", "rows": 8, "blur": "gaussian", "blur_size": 51, "blur_sigma": 50.0},
}
CURVE, STORED = ".curve", 21  # how the column of a stored curve ends, and its points
POINTS = 101  # of the mean curve, where the number of steps depends on the image


class PerturbationCurve(Metric):
    """Score of the class while pixels, or whole cells, are exchanged in the order in which a map ranks them.

    Step k exchanges the first n_k pixels with all their channels; s_0 ... s_K are the model's scores of the class and
    the sample's score is the normalized trapezoid over them, both ends included. With `grid_size`, the map's values on
    that grid are ranked (a map on the same grid: its own values) and a step exchanges whole cells.

    Presets: ``rise`` (Petsiuk et al., 2018, released evaluation): one row of pixels a step, baselines of normalized
    input, RISE's 11 x 11 blur. ``coiba``, the script of the authors of CoIBA: eight rows a step, baselines of pixels in
    [0, 1] that are then normalized, a 51 x 51 blur of sigma 50; it scores the label, so give the labels as targets. An
    argument that is not None comes before the preset, and `settings` shows the outcome. Both take softmax
    probabilities, exchange pixels with zeros (deletion) or a blur (insertion) and break ties by row-major order.

    Args:
        preset: Preset that sets the arguments that are None.
        output: Score of a class after each step: softmax probability, logit or log probability. A target that has a
            score of its own keeps it.
        baseline: What pixels are exchanged with: ``zero``, ``black``, ``mean``, ``blur``, ``noise``, ``uniform``,
            ``opposite``, ``minimum`` (the "black" of Quantus) or a number; see
            `perturbation.baselines.BaselineImages`. ``tokens``: a vision transformer's patches are dropped, which needs
            a `grid_size` of whole patches; if the model pools patches, one cell always stays. ``auto``: tokens where
            model and units can. None = zero for deletion, blur for insertion.
        space: Where the baseline is made: normalized model ``input``, or ``pixels`` in [0, 1].
        order: ``morf`` = most relevant first, ``lerf`` = least relevant first, ``random`` = the same for all images.
        ties: Which of equal pixels goes first, in row-major order; see `functional.ranks`.
        grid_size: Grid of cells, one number or height and width; None = single pixels.
        steps: K, the number of steps.
        step: Pixels, or cells, a step instead.
        rows: Rows of pixels, or of cells, a step instead.
        blur: Window of the blur; see `functional.blur_images`.
        blur_size: Size of the window in pixels, odd.
        blur_sigma: Standard deviation of the blur in pixels.
        mean: Mean per channel of the model's normalization, for ``pixels``; None = `model.preprocessing` says it.
        std: Standard deviation per channel of the model's normalization; None likewise.
        seed: Seed of the random order and of random baselines.
        chunk: Images a forward; bounds memory, and changes no score. None: on a CPU, where large batches are slower, as
            many as have about 8 x 224 x 224 pixels together; else 64.
        keep_samples: Whether every score is kept.

    Raises:
        InputError: An argument that is not among its choices or out of range.
    """

    needs = (*Faithfulness.needs, "shared")  # a faithfulness metric, by what it takes
    inserts: ClassVar[bool]  # from the baseline to the image, else the other way

    curve_total: Tensor  # (points,) fp64: sum of the defined curves

    def __init__(
        self,
        preset: Preset = "rise",
        output: Output = OUTPUT,
        baseline: Removed | float | None = None,
        space: Space | None = None,
        order: Order = "morf",
        ties: Ties = "first",
        grid_size: int | tuple[int, int] | None = None,
        steps: int | None = None,
        step: int | None = None,
        rows: int | None = None,
        blur: Window | None = None,
        blur_size: int | None = None,
        blur_sigma: float | None = None,
        mean: tuple[float, ...] | None = None,
        std: tuple[float, ...] | None = None,
        seed: int = 0,
        chunk: int | None = None,
        keep_samples: bool = False,
    ) -> None:
        super().__init__(keep_samples)
        check_choice(preset, Preset, "preset")
        settled = PRESETS[preset]
        if sum(given is not None for given in (steps, step, rows)) > 1:
            raise InputError(f"steps {steps}, step {step} and rows {rows}: give one of the three")
        self.preset = preset
        self.output = check_choice(output, Output, "output")
        own: Removed = "blur" if self.inserts else "zero"
        self.baseline = own if baseline is None else baseline
        self.space = settled["space"] if space is None else space
        self.order = check_choice(order, Order, "order")
        self.ties: Ties = check_choice(ties, Ties, "ties")
        self.grid_size = (
            grid_size if grid_size is None or isinstance(grid_size, int) else (int(grid_size[0]), int(grid_size[1]))
        )
        self.steps, self.step = steps, step
        self.rows = settled["rows"] if steps is None and step is None and rows is None else rows
        self.blur = settled["blur"] if blur is None else blur
        self.blur_size = settled["blur_size"] if blur_size is None else blur_size
        self.blur_sigma = settled["blur_sigma"] if blur_sigma is None else blur_sigma
        self.mean, self.std = mean, std
        self.seed = seed
        self.chunk = chunk
        for name in ("steps", "step", "rows", "chunk"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise InputError(f"{name} is {value}: give 1 or more")
        if self.grid_size is not None and min(self._grid((0, 0))) < 1:
            raise InputError(f"grid_size is {grid_size}: give 1 or more in height and width")
        images: Any = own if self.baseline in ("tokens", "auto") else self.baseline
        self._baselines = BaselineImages(
            images, self.space, self.blur, self.blur_size, self.blur_sigma, mean, std, seed
        )
        points = POINTS if steps is None else steps + 1
        self.add_state("curve_total", torch.zeros(points, dtype=torch.float64), dist_reduce_fx="sum")

    def score(
        self, model: Model, images: Tensor, targets: Targets, maps: Tensor, shared: Shared | None = None
    ) -> Tensor:
        """Area under each sample's curve ``(B,)``; see `Faithfulness.score` and `RemovalMetric.score`."""
        return area_under_curve(self.curves(model, images, targets, maps, shared))

    def details(self, batch: ScoredBatch) -> dict[str, Tensor]:
        """Area and curve, at `STORED` equally spaced shares of the steps."""
        curves = self.curves(batch.model, batch.images, batch.targets, batch.maps, batch.shared)
        return {"": area_under_curve(curves), CURVE: resample_curve(curves, STORED)}

    def update(
        self, model: Model, images: Tensor, targets: Targets, maps: Tensor, shared: Shared | None = None
    ) -> None:
        """Add a batch; the arguments are those of `score`."""
        curves = self.curves(model, images, targets, maps, shared)
        self._add(area_under_curve(curves))
        points = resample_curve(curves.to(self.curve_total.device), len(self.curve_total))
        self.curve_total = self.curve_total + points[~points.isnan().any(1)].double().sum(0)

    def mean_curve(self) -> Tensor:
        """Mean of the defined curves over all processes, which all have to ask; fp64.

        K + 1 scores where the number of steps was given, else 101 at equally spaced shares of the steps.
        """
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            return self.curve_total / self.count

    def curves(
        self, model: Model, images: Tensor, targets: Targets, maps: Tensor, shared: Shared | None = None
    ) -> Tensor:
        """The scores s_0 ... s_K of each sample ``(B, K + 1)``; arguments and errors as those of `score`."""
        maps = maps_of(maps, images)
        pixels = self.grid_size is None and self.baseline == "auto"  # of which no token can be dropped
        baseline = self._baselines if pixels else settled_baseline(model, self.baseline, self._baselines)
        removal = Removal(model, images, targets, baseline, self.output, self.chunk, shared)
        removal.cells(None if self.grid_size is None else self._grid(removal.size))  # refuses cells that cannot be
        grid = self._grid(removal.size)
        numbers = self._counts(grid, removal.size)
        if not removal.ends_empty:  # one cell stays
            least, most = (1, grid[0] * grid[1]) if self.inserts else (0, grid[0] * grid[1] - 1)
            numbers = sorted({min(max(number, least), most) for number in numbers})
        counts = torch.tensor(numbers, device=images.device)
        order = self._places(maps, grid)
        inner = counts[:-1] if self.inserts else counts[1:]  # the clean images are an end, and known

        def removed(rows: Tensor, copies: Tensor) -> Tensor:
            exchanged = spread_cells(order[rows], removal.canvas) < inner[copies][:, None, None]
            return ~exchanged if self.inserts else exchanged

        others, clean = removal.scores(len(inner), removed), removal.clean.unsqueeze(1)
        curves = torch.cat([others, clean] if self.inserts else [clean, others], 1)
        return curves.masked_fill(not_finite(maps).unsqueeze(1), torch.nan)

    def forwards(self, size: tuple[int, int]) -> int:
        """See `Metric.forwards`: one for each step, and the one before them."""
        return len(self._counts(self._grid(size), size))

    def check(self, size: tuple[int, int]) -> None:
        """Refuse images of `size`, height and width, that have too few pixels for these settings.

        Raises:
            InputError: They have.
        """
        self._counts(self._grid(size), size)
        self._baselines.check(size)

    def _grid(self, size: tuple[int, int]) -> tuple[int, int]:
        if self.grid_size is None:
            return size
        return (self.grid_size, self.grid_size) if isinstance(self.grid_size, int) else self.grid_size

    def _counts(self, grid: tuple[int, int], size: tuple[int, int]) -> list[int]:
        units = grid[0] * grid[1]
        if grid[0] > size[0] or grid[1] > size[1]:
            raise InputError(
                f"grid_size is {self.grid_size}, but images have {size[0]} x {size[1]} pixels: give fewer cells"
            )
        if self.steps is not None and self.steps > units:
            raise InputError(f"steps is {self.steps}, but there are {units} pixels or cells to exchange: give fewer")
        if self.rows is not None:
            return step_counts(units, size=self.rows * grid[1])
        return step_counts(units, steps=self.steps, size=self.step)

    def _places(self, maps: Tensor, grid: tuple[int, int]) -> Tensor:
        """Place of each cell in the order of exchange ``(B, *grid)``."""
        if self.order == "random":
            return ranks(noise(self.seed, 0, 0, (1, *grid))).to(maps.device).expand(len(maps), -1, -1)
        values = cell_values(maps, grid)
        return ranks(values if self.order == "morf" else -values, self.ties)
