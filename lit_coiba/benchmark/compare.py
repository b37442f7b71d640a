"""Several methods on a few images, in Python: maps, scores and one picture, without a dataset or a folder."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from lit_coiba.attribution.presets import columns
from lit_coiba.benchmark.leaderboard import Leaderboard
from lit_coiba.benchmark.references import REFERENCE
from lit_coiba.bottlenecks import BottleneckMethod
from lit_coiba.core.errors import InputError, check_count, warn
from lit_coiba.core.frozen import frozen
from lit_coiba.core.method import AttributionMethod
from lit_coiba.core.printable import listed, printable
from lit_coiba.core.targets import Resolved, Targets, resolve
from lit_coiba.data.in_hand import Pictures, load_images
from lit_coiba.metrics.batch import ScoredBatch, taken_baselines
from lit_coiba.metrics.metric import Metric
from lit_coiba.metrics.shared import Shared
from lit_coiba.metrics.suites import load_suite
from lit_coiba.pictures.show import show

Methods = Sequence[str] | Mapping[str, AttributionMethod]


@dataclass(frozen=True, eq=False)
class Compared:
    """What `compare` found.

    Args:
        images: Model input ``(B, 3, H, W)``.
        maps: Name of the method -> maps ``(B, h, w)``.
        board: Table of scores.
        model: The model.
        refused: Name of the method -> why it cannot explain this model.
    """

    images: Tensor
    maps: Mapping[str, Tensor]
    board: Leaderboard
    model: Any
    refused: Mapping[str, str]

    def picture(self, titles: Sequence[str] | None = None) -> Image.Image:
        """Images by methods; see `show`."""
        return show(self.images, dict(self.maps), self.model, titles)

    def _repr_markdown_(self) -> str:
        return self.board.markdown()

    __str__ = _repr_markdown_


def compare(
    model: Any,
    images: Pictures,
    methods: Methods,
    targets: Targets = None,
    suite: str | Mapping[str, Metric] = "quick",
    regions: Tensor | None = None,
    batch_size: int = 16,
) -> Compared:
    """Explain images by several methods and score the maps; for a whole dataset, see `Trainer.compare`.

    Args:
        model: The model, a `Backbone` or a trained classifier.
        images: Model input ``(B, 3, H, W)``, or pictures as `load_images` takes them.
        methods: Words such as ``coiba_fast``, ``grad_cam`` or ``coiba:beta=10`` (see `method_named`), or methods by the
            names that the table is to have. Bottlenecks without statistics estimate them over these images.
        targets: What is explained; None = the class predicted for each image.
        suite: Name of a suite of metrics, or metrics by the names of their columns.
        regions: Where the objects are ``(B, H, W)``, bool, for metrics of localization.
        batch_size: Number of images at once; decides no number.

    Raises:
        InputError: No method can explain the model, or images, targets or regions do not fit.

    Example:
        >>> from lit_coiba import Backbone
        >>> model = Backbone.load("checkpoints/synthetic_parts_cnn.safetensors")  # doctest: +SKIP
        >>> compare(model, ["tom.jpg", "rex.jpg"], ["saliency", "grad_cam"]).picture()  # doctest: +SKIP
    """
    check_count(batch_size=batch_size)
    pixels = images if isinstance(images, Tensor) and images.dim() == 4 else load_images(images, model)
    if regions is not None and (regions.dtype != torch.bool or regions.shape[:1] != pixels.shape[:1]):
        raise InputError(
            f"regions are {regions.dtype} of shape {tuple(regions.shape)}: give bool masks ({len(pixels)}, H, W)"
        )
    named = columns(list(methods)) if not isinstance(methods, Mapping) else dict(methods)
    measured = load_suite(suite) if isinstance(suite, str) else dict(suite)
    _check_metrics(measured, pixels, regions)
    rows = _rows(model, pixels, targets, batch_size)
    pieces = [slice(start, start + batch_size) for start in range(0, len(pixels), batch_size)]
    maps, refused = dict[str, Tensor](), dict[str, str]()
    with _bar(len(pieces) * (len(named) + 1)) as bar:
        for name, method in named.items():
            bar.set_description(printable(name, 40))
            try:
                _prepare(method, model, pixels)
                found = []
                for piece in pieces:
                    found.append(method.attribute(model, pixels[piece], rows.take(piece).recounted()))
                    bar.update()
                maps[name] = torch.cat(found)
            except InputError as error:
                refused[name] = printable(str(error), 300)
                warn(f"{name} is left out: {error}", stacklevel=2)
        if not maps:
            raise InputError(f"none of the methods can explain this model: {next(iter(refused.values()), 'give one')}")
        bar.set_description("scores")
        scores: dict[str, dict[str, list[Tensor]]] = {name: {column: [] for column in measured} for name in maps}
        for piece in pieces:
            _score(model, pixels, rows, maps, named, measured, regions, piece, scores)
            bar.update()
    table = {name: {c: torch.cat(v).double().cpu() for c, v in found.items()} for name, found in scores.items()}
    higher = {column: metric.higher_is_better for column, metric in measured.items()}
    keys = [(f"image-{number:04}", int(index)) for number, index in enumerate(rows.index.tolist())]
    reference = next((name for name, one in named.items() if type(one).__name__ == REFERENCE and name in maps), "")
    taken = taken_baselines(measured, model)
    board = Leaderboard(table, reference or next(iter(maps)), higher=higher, keys=keys, baselines=taken)
    return Compared(pixels, maps, board, model, refused)


def _check_metrics(metrics: Mapping[str, Metric], images: Tensor, regions: Tensor | None) -> None:
    """Say before anything runs what cannot be measured.

    Raises:
        InputError: The images are none that a metric's settings can be used on, or no metric can be computed.
    """
    height, width = images.shape[-2:]
    for metric in metrics.values():
        metric.check((height, width))
    blind = [name for name, metric in metrics.items() if "regions" in metric.needs]
    if regions is None and len(blind) == len(metrics):
        raise InputError(
            f"metrics: {listed(blind)} need regions, the masks of the objects: give them, or other metrics"
        )


def _rows(model: Any, images: Tensor, targets: Targets, batch_size: int) -> Resolved:
    """What is explained, chosen once for all methods and metrics."""

    def predict() -> Tensor:
        with torch.no_grad():
            return torch.cat([model(piece) for piece in images.split(batch_size)])

    with frozen(model):
        return resolve(targets, images, model.num_classes, predict, getattr(model, "class_names", None) or ())


def _prepare(method: AttributionMethod, model: Any, images: Tensor) -> None:
    """Have a bottleneck estimate its statistics over these images, where it has none."""
    if isinstance(method, BottleneckMethod) and not method.arguments().get("statistics"):
        method.prepare(model, images)


def _score(
    model: Any,
    images: Tensor,
    rows: Resolved,
    maps: Mapping[str, Tensor],
    methods: Mapping[str, AttributionMethod],
    metrics: Mapping[str, Metric],
    regions: Tensor | None,
    piece: slice,
    scores: Mapping[str, Mapping[str, list[Tensor]]],
) -> None:
    """Add the scores of some images."""
    shared, ids = Shared(), tuple(f"image-{number:04}" for number in range(len(images))[piece])
    for name, found in maps.items():
        method = methods[name]

        def explain(other: Any, some: Tensor, targets: Any, method: AttributionMethod = method) -> Tensor:
            return method.of_model(other, images).attribute(other, some, targets)

        batch = ScoredBatch(
            *(model, images[piece], rows.take(piece).recounted(), found[piece], ids),
            None if regions is None else regions[piece],
            method=explain,
            shared=shared,
        )
        for column, metric in metrics.items():
            missing = batch.lacking(metric.needs)
            scores[name][column].append(torch.full((len(ids),), torch.nan) if missing else metric.score_batch(batch))


def _bar(total: int) -> Any:
    """A progress bar for people."""
    return tqdm(total=total, disable=not sys.stderr.isatty(), leave=False)
