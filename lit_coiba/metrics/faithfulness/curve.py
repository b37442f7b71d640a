"""Perturbation curves: rank -> masks -> batched forward -> curve, the one engine of insertion and deletion."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.core.targets import Targets
from lit_coiba.functional import (
    AreaRule,
    area_under_curve,
    cell_values,
    noise,
    ranks,
    resample_curve,
    spread_cells,
    step_counts,
)
from lit_coiba.metrics.batch import Model, ScoredBatch, TakenBaseline
from lit_coiba.metrics.faithfulness.faithfulness import Faithfulness
from lit_coiba.metrics.faithfulness.removal import OUTPUT, Output, Removal, Removed, settled_baseline, told_baseline
from lit_coiba.metrics.maps import maps_of, not_finite
from lit_coiba.metrics.metric import Metric
from lit_coiba.metrics.shared import Shared
from lit_coiba.perturbation.baselines import BaselineImages, Space, Window

Preset = Literal["rise", "coiba", "xplique", "quantus_pf", "iba"]
Unit = Literal["pixel", "entry"]
Order = Literal["morf", "lerf", "random"]
Ties = Literal["first", "last"]

RISE: dict[str, Any] = {
    **{"output": OUTPUT, "baseline": None, "space": "input", "ties": "first", "unit": "pixel", "area": "normalized"},
    **{"rows": 1, "blur": "rise", "blur_size": 11, "blur_sigma": 5.0},
}
IBA_BLUR = {"blur": "gaussian", "blur_size": 9, "blur_sigma": 5.0}  # int(2 sigma - 1) pixels
PRESETS: dict[str, dict[str, Any]] = {
    "rise": RISE,
    "coiba": {**RISE, "space": "pixels", "rows": 8, "blur": "gaussian", "blur_size": 51, "blur_sigma": 50.0},
    "xplique": {**RISE, "output": "logit", "baseline": "zero", "ties": "last", "rows": None, "steps": 10},
    "quantus_pf": {**RISE, "baseline": "minimum", "unit": "entry", "area": "quantus", "rows": None, "step": 1},
    "iba": {**RISE, **IBA_BLUR, "area": "input_iba", "rows": None, "step": 10},
}
ALWAYS = {"unit": "pixel", "area": "normalized"}  # what settings that came after version 0.1.0 say of all before
CURVE, STORED = ".curve", 21  # how the column of a stored curve ends, and its points
POINTS = 101  # of the mean curve, where the number of steps depends on the image


class PerturbationCurve(Metric):
    """Score of the class while pixels, or whole cells, are exchanged in the order in which a map ranks them.

    Step k exchanges the first n_k pixels with all their channels; s_0 ... s_K are the model's scores of the class and
    the sample's score is the normalized trapezoid over them, both ends included. With `grid_size`, the map's values on
    that grid are ranked (a map on the same grid: its own values) and a step exchanges whole cells.

    Presets set the arguments that are None, and `settings` shows the outcome; all but ``rise`` score the label, so give
    the labels as targets. ``rise`` (Petsiuk et al., 2018, released evaluation): probabilities, one row of pixels a
    step, zeros (deletion) or RISE's 11 x 11 blur (insertion) of normalized input. ``coiba``, the script of the authors
    of CoIBA: eight rows a step, baselines of pixels in [0, 1] that are then normalized, a 51 x 51 blur of sigma 50.
    ``xplique``: logits, ten steps, zeros for both, the last of equal pixels first. ``quantus_pf``, pixel flipping of
    Quantus, a deletion: entries one by one, to the image's minimum, and an area that grows with their number. ``iba``,
    released evaluation of InputIBA (Zhang et al., 2021), without its fault that images of a chunk are alike: ten pixels
    a step, zeros or a 9 x 9 blur of sigma 5, and an area without the first point.

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
        unit: What a step exchanges: a ``pixel`` with all its channels (or a cell), or an ``entry``, one channel of a
            pixel, whose value is that of the pixel: the first channel goes first.
        area: Rule of the area; see `functional.area_under_curve`.
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
        output: Output | None = None,
        baseline: Removed | float | None = None,
        space: Space | None = None,
        order: Order = "morf",
        ties: Ties | None = None,
        grid_size: int | tuple[int, int] | None = None,
        steps: int | None = None,
        step: int | None = None,
        rows: int | None = None,
        blur: Window | None = None,
        blur_size: int | None = None,
        blur_sigma: float | None = None,
        unit: Unit | None = None,
        area: AreaRule | None = None,
        mean: tuple[float, ...] | None = None,
        std: tuple[float, ...] | None = None,
        seed: int = 0,
        chunk: int | None = None,
        keep_samples: bool = False,
    ) -> None:
        super().__init__(keep_samples)
        check_choice(preset, Preset, "preset")
        settled = {"steps": None, "step": None, **PRESETS[preset]}
        if sum(given is not None for given in (steps, step, rows)) > 1:
            raise InputError(f"steps {steps}, step {step} and rows {rows}: give one of the three")
        if preset == "quantus_pf" and self.inserts:
            raise InputError("preset is quantus_pf, which is a deletion: choose Deletion, or another preset")
        self.preset = preset
        own: Removed = settled["baseline"] or ("blur" if self.inserts else "zero")
        self.output: Output = check_choice(settled["output"] if output is None else output, Output, "output")
        self.baseline = own if baseline is None else baseline
        self.space = settled["space"] if space is None else space
        self.order = check_choice(order, Order, "order")
        self.ties: Ties = check_choice(settled["ties"] if ties is None else ties, Ties, "ties")
        self.grid_size = (
            grid_size if grid_size is None or isinstance(grid_size, int) else (int(grid_size[0]), int(grid_size[1]))
        )
        if steps is None and step is None and rows is None:
            steps, step, rows = settled["steps"], settled["step"], settled["rows"]
        self.steps, self.step, self.rows = steps, step, rows
        self.blur = settled["blur"] if blur is None else blur
        self.blur_size = settled["blur_size"] if blur_size is None else blur_size
        self.blur_sigma = settled["blur_sigma"] if blur_sigma is None else blur_sigma
        self.unit: Unit = check_choice(settled["unit"] if unit is None else unit, Unit, "unit")
        self.area: AreaRule = check_choice(settled["area"] if area is None else area, AreaRule, "area")
        self._asked = self.output != settled["output"]
        self.mean, self.std = mean, std
        self.seed = seed
        self.chunk = chunk
        for name in ("steps", "step", "rows", "chunk"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise InputError(f"{name} is {value}: give 1 or more")
        if self.grid_size is not None and min(self._grid((0, 0))) < 1:
            raise InputError(f"grid_size is {grid_size}: give 1 or more in height and width")
        if self.unit == "entry" and self.grid_size is not None:
            raise InputError(f"unit is entry and grid_size {grid_size}: leave one of them out")
        images: Any = own if self.baseline in ("tokens", "auto") else self.baseline
        self._baselines = BaselineImages(
            images, self.space, self.blur, self.blur_size, self.blur_sigma, mean, std, seed
        )
        points = POINTS if self.steps is None else self.steps + 1
        self.add_state("curve_total", torch.zeros(points, dtype=torch.float64), dist_reduce_fx="sum")

    def score(
        self, model: Model, images: Tensor, targets: Targets, maps: Tensor, shared: Shared | None = None
    ) -> Tensor:
        """Area under each sample's curve ``(B,)``; see `Faithfulness.score` and `RemovalMetric.score`."""
        return self._area(self.curves(model, images, targets, maps, shared))

    def details(self, batch: ScoredBatch) -> dict[str, Tensor]:
        """Area and curve, at `STORED` equally spaced shares of the steps."""
        curves = self.curves(batch.model, batch.images, batch.targets, batch.maps, batch.shared)
        return {"": self._area(curves), CURVE: resample_curve(curves, STORED)}

    def update(
        self, model: Model, images: Tensor, targets: Targets, maps: Tensor, shared: Shared | None = None
    ) -> None:
        """Add a batch; the arguments are those of `score`."""
        curves = self.curves(model, images, targets, maps, shared)
        self._add(self._area(curves))
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
        removal = Removal(model, images, targets, self._settled(model), self.output, self.chunk, shared, self._asked)
        removal.cells(None if self.grid_size is None else self._grid(removal.size))  # refuses cells that cannot be
        grid = self._grid(removal.size)
        numbers = self._counts(grid, removal.size, images.shape[1])
        if not removal.ends_empty:  # one cell stays
            least, most = (1, grid[0] * grid[1]) if self.inserts else (0, grid[0] * grid[1] - 1)
            numbers = sorted({min(max(number, least), most) for number in numbers})
        counts = torch.tensor(numbers, device=images.device)
        entries = self.unit == "entry"
        order = self._places(maps, grid, images.shape[1] if entries else None)
        inner = counts[:-1] if self.inserts else counts[1:]  # the clean images are an end, and known

        def removed(rows: Tensor, copies: Tensor) -> Tensor:
            exchanged = order[rows] < inner[copies].view(-1, *[1] * (order.dim() - 1))
            exchanged = exchanged if entries else spread_cells(exchanged, removal.canvas)
            return ~exchanged if self.inserts else exchanged

        others, clean = removal.scores(len(inner), removed), removal.clean.unsqueeze(1)
        curves = torch.cat([others, clean] if self.inserts else [clean, others], 1)
        return curves.masked_fill(not_finite(maps).unsqueeze(1), torch.nan)

    def taken_baseline(self, model: Model) -> TakenBaseline:
        """See `Metric.taken_baseline`."""
        return told_baseline(self.baseline, self._settled(model))

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

    def _settled(self, model: Model) -> BaselineImages | Literal["tokens"]:
        pixels = self.grid_size is None and self.baseline == "auto"  # of which no token can be dropped
        return self._baselines if pixels else settled_baseline(model, self.baseline, self._baselines)

    def _grid(self, size: tuple[int, int]) -> tuple[int, int]:
        if self.grid_size is None:
            return size
        return (self.grid_size, self.grid_size) if isinstance(self.grid_size, int) else self.grid_size

    def _counts(self, grid: tuple[int, int], size: tuple[int, int], channels: int = 3) -> list[int]:
        units = grid[0] * grid[1] * (channels if self.unit == "entry" else 1)
        if grid[0] > size[0] or grid[1] > size[1]:
            raise InputError(
                f"grid_size is {self.grid_size}, but images have {size[0]} x {size[1]} pixels: give fewer cells"
            )
        if self.steps is not None and self.steps > units:
            raise InputError(f"steps is {self.steps}, but there are {units} pixels or cells to exchange: give fewer")
        if self.rows is not None:
            return step_counts(units, size=self.rows * grid[1])
        return step_counts(units, steps=self.steps, size=self.step)

    def _places(self, maps: Tensor, grid: tuple[int, int], channels: int | None) -> Tensor:
        """Place of each cell in the order of exchange ``(B, *grid)``, or of each entry ``(B, channels, *grid)``."""
        shape = grid if channels is None else (channels, *grid)
        if self.order == "random":
            return ranks(noise(self.seed, 0, 0, (1, *shape))).to(maps.device).expand(len(maps), *shape)
        values = cell_values(maps, grid)
        if channels is not None:
            values = values.unsqueeze(1).expand(-1, *shape)
        return ranks(values if self.order == "morf" else -values, self.ties)

    def _area(self, curves: Tensor) -> Tensor:
        return area_under_curve(curves, self.area)

    def identity(self) -> dict[str, Any]:
        """See `Metric.identity`; settings that are newer than some tables are left out where they say what was."""
        return {name: v for name, v in super().identity().items() if ALWAYS.get(name) != v}
