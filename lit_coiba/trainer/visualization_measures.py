"""Optimized images against natural ones: one pass over the data of a run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError, warn
from lit_coiba.core.frozen import frozen
from lit_coiba.feature_visualization.chosen import Chosen
from lit_coiba.feature_visualization.held_out import see
from lit_coiba.feature_visualization.measures import MEASURES, Each, Measures, read_measures, write_measures
from lit_coiba.feature_visualization.natural_images import NaturalImages, plausibility
from lit_coiba.feature_visualization.seen import Seen
from lit_coiba.feature_visualization.visualization_item import finite
from lit_coiba.feature_visualization.visualization_run import VisualizationRun
from lit_coiba.functional import Scatter, scatter_distance
from lit_coiba.modules.visualization import VisualizationModule
from lit_coiba.store.progress import progress_bar
from lit_coiba.trainer.block_run import BlockRun

CANDIDATES = 3  # natural images whose held-out score is measured for each thing; the best counts


def measure_visualizations(
    run: BlockRun[VisualizationModule], folder: VisualizationRun, chosen: Sequence[Chosen]
) -> None:
    """Measure optimized images against the images of a run, unless an earlier call has; by one process.

    Args:
        run: The run.
        folder: The optimized images.
        chosen: What they were optimized for.
    """
    things = [one for one in chosen if one.key in folder]
    of = _of(run, folder, things)
    with suppress(FileNotFoundError, InputError):
        if read_measures(folder.path / MEASURES).of == of:
            return
    run.to_device()
    features = [folder.features(one.key) for one in things]
    if any(one is None for one in features):
        warn("the model has no features on a grid, so there is no plausibility and no FID", stacklevel=2)
    natural = _natural(run, things)
    if not natural.seen:
        warn("none of the data's images can be read, so nothing is compared with them", stacklevel=2)
        return
    best = _best_scores(run, things, natural)
    each = {
        one.key: Each(
            one.of,
            None if vector is None else finite(float(plausibility(vector, natural.features(place)))),
            finite(best[place]),
        )
        for place, (one, vector) in enumerate(zip(things, features))
    }
    held = [folder[one.key].held_out for one in things]
    real = [each[one.key].held_out_real for one in things]
    write_measures(
        folder.path / MEASURES,
        Measures(
            of=of,
            images=natural.seen,
            fid=_fid(natural.scatter, [one for one in features if one is not None]),
            plausibility=_mean([one.plausibility for one in each.values()]),
            held_out=_mean(held),
            held_out_real=_mean(real),
            above_real=sum(a is not None and b is not None and a > b for a, b in zip(held, real)),
            each=each,
        ),
    )


def _of(run: BlockRun[VisualizationModule], folder: VisualizationRun, things: Sequence[Chosen]) -> str:
    """Digest of the optimized and of the natural images."""
    made = [[one.key, one.of, folder[one.key].held_out] for one in things]
    told = [made, run.fingerprint().digest(), run.ids_digest, run.preprocessing]
    return hashlib.sha256(json.dumps(told, default=str).encode()).hexdigest()


def _natural(run: BlockRun[VisualizationModule], things: Sequence[Chosen]) -> NaturalImages:
    """Scores and features of all images of the run."""
    model, found = run.model.network, NaturalImages()
    layers = {layer for one in things for layer in one.objective.layers}
    numbers = {name: number for number, name in enumerate(run.images.ids)}
    scores: list[Any] = []
    total = run.datamodule.total_blocks
    with frozen(model), torch.no_grad(), progress_bar("Natural images", run.shows_progress) as tell:
        for done, batch in enumerate(run.datamodule.every_block(), 1):
            if len(batch.images):
                images = model.ordered(batch.images.to(run.trainer.strategy.root_device))
                seen = Seen(model, images, layers)
                scores = scores or [one.objective.bind(model, Seen(model, images[:1], layers)) for one in things]
                every = slice(0, len(images))
                columns = torch.stack([score(seen, every).double() for score in scores], 1)
                found.add(columns, _features(seen, columns), torch.tensor([numbers[name] for name in batch.ids]))
            tell(done, total)
    return found


def _features(seen: Seen, like: Tensor) -> Tensor:
    try:
        return seen.features.float()
    except InputError:  # a model without a grid
        return like.new_zeros(len(like), 1, dtype=torch.float32)


def _best_scores(run: BlockRun[VisualizationModule], things: Sequence[Chosen], natural: NaturalImages) -> list[float]:
    """Held-out score of the best natural image for each thing; NaN where there is none."""
    model, best = run.model.network, [float("nan")] * len(things)
    wanted: dict[int, list[int]] = {}
    for place in range(len(things)):
        for number in natural.numbers[place, :CANDIDATES].tolist():
            if number >= 0:
                wanted.setdefault(number, []).append(place)
    device = run.trainer.strategy.root_device
    with progress_bar("Best natural images", run.shows_progress) as tell:
        for done, (number, places) in enumerate(sorted(wanted.items()), 1):
            pixels = run.datamodule.transform.pixels(run.images.image(number)).float() / 255
            for place in places:
                score = float(see(model, pixels[None].to(device), [things[place].objective]).scores[0])
                best[place] = score if best[place] != best[place] else max(best[place], score)
            tell(done, len(wanted))
    return best


def _fid(natural: Scatter | None, features: Sequence[Tensor]) -> float | None:
    """Squared Frechet distance of the features; None where either set has fewer than two images."""
    if natural is None or natural.size < 2 or len(features) < 2 or len(features[0]) != len(natural.mean):
        return None
    return finite(float(scatter_distance(Scatter.of(torch.stack(list(features))), natural)))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
