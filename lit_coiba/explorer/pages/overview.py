"""The first page, and the columns of all classes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lit_coiba.explorer.certified import certified
from lit_coiba.explorer.class_part import ClassSummary
from lit_coiba.explorer.page_data import (
    ClassColumns,
    ClassPage,
    Fact,
    Histogram,
    LayerConcepts,
    Leaderboard,
    Metric,
    Overview,
    Picture,
)
from lit_coiba.explorer.page_data.overviews import LeaderboardCell
from lit_coiba.explorer.runs import Runs, layer_of
from lit_coiba.explorer.sources import Sources, shown
from lit_coiba.lipschitz.decisions import UNIT

BINS = 20
RADII = "Certified radius of the decisions"
EXAMPLE = 4  # concepts of one class, and images of it


def class_columns(sources: Sources, classes: Sequence[ClassSummary]) -> ClassColumns:
    """All classes, in columns."""
    return ClassColumns(
        id=tuple(one.id for one in classes),
        name=tuple(sources.name(one.id) for one in classes),
        n_images=tuple(one.n_images for one in classes),
        n_labelled=tuple(one.n_labelled for one in classes),
        accuracy=tuple(one.accuracy for one in classes),
        concepts=tuple(one.concepts for one in classes),
        important=tuple(one.important for one in classes),
        error=tuple(one.error for one in classes),
        picture=tuple(one.picture for one in classes),
        bars=tuple(tuple(one.bars) for one in classes),
    )


def overview(
    sources: Sources, classes: Sequence[ClassSummary], example: ClassPage | None, beside: dict[str, str]
) -> Overview:
    """What the first page says.

    Args:
        sources: All runs.
        classes: Summaries of all classes.
        example: Page of a class with concepts.
        beside: What lies beside the page.
    """
    labelled, correct = sources.predictions.counts()
    rows = sources.predictions.certified()
    units = sources.runs.prototypes
    layer = example.layers[0] if example is not None else None
    return Overview(
        title=sources.site.title,
        address="index.html",
        beside=beside,
        facts=model_facts(sources.runs),
        runs=run_facts(sources.runs),
        n_classes=len(classes),
        n_images=len(sources.predictions),
        n_concepts=sum(one.concepts for one in classes),
        n_units=0 if units is None else units.units,
        n_samples=sum(one.samples for one in classes),
        n_labelled=labelled,
        accuracy=correct / labelled if labelled else None,
        certified=certified(rows, rows),
        leaderboards=tuple(_leaderboard(run.leaderboard) for run in sources.runs.benchmarks.values()),
        histograms=_histograms(classes, [one.radius for one in rows]),
        example=sources.link(example.id) if example is not None else None,
        example_concepts=tuple(layer.concepts[k] for k in layer.order[:EXAMPLE]) if layer is not None else (),
        example_pictures=_pictures(layer),
    )


def _pictures(layer: LayerConcepts | None) -> tuple[Picture, ...]:
    """Images that the model gives a class."""
    thumbs = () if layer is None or layer.points is None else layer.points.thumb
    return tuple(one for one in thumbs if one is not None)[:EXAMPLE]


def model_facts(runs: Runs) -> tuple[Fact, ...]:
    """What is known of a model."""
    facts = [Fact("Model", shown(runs.model_name))] if runs.model_name else []
    facts += [Fact("Digest of the weights", shown(runs.model[:12]))] if runs.model else []
    facts += [Fact("Classes", f"{len(runs.class_names):,}")] if runs.class_names else []
    size = (runs.preprocessing or {}).get("size")
    if isinstance(size, list) and len(size) == 2:
        facts.append(Fact("Input", f"{size[0]} x {size[1]} pixels"))
    data = next((one.data for one in runs.identities if one.data), None) or {}
    if isinstance(data.get("dataset"), str):
        facts.append(Fact("Data", shown(data["dataset"])))
    return tuple(facts)


def run_facts(runs: Runs) -> tuple[Fact, ...]:
    """What a site was made of; no paths, which are nobody else's."""
    facts = [Fact("Concepts", f"of {len(run.classes):,} classes at {shown(layer_of(run))}") for run in runs.concepts]
    facts += [Fact("Explanations", f"{shown(name)}: {len(store):,}") for name, store in runs.stores.items()]
    if runs.prototypes is not None:
        facts.append(Fact("Prototypes", f"{runs.prototypes.units:,} units"))
    facts += [Fact("Benchmark", f"{len(run.leaderboard.methods)} methods") for run in runs.benchmarks.values()]
    facts += [Fact("Visualizations", f"{len(run):,} optimized images") for run in runs.visualizations]
    return tuple(facts)


def _leaderboard(board: Leaderboard) -> Leaderboard:
    """A table with its names in printable lines."""
    cells: tuple[tuple[LeaderboardCell | None, ...], ...] = board.cells
    metrics = tuple(Metric(shown(one.name), one.higher) for one in board.metrics)
    return Leaderboard(board.name, metrics, tuple(map(shown, board.methods)), cells)


def _histograms(classes: Sequence[ClassSummary], radii: list[float | None]) -> tuple[Histogram, ...]:
    """Figures over all classes, and over all decisions; left out where nothing is known."""
    columns: dict[str, list[float | None]] = {
        "Accuracy of the classes": [one.accuracy for one in classes],
        "Reconstruction error of the concepts": [one.error for one in classes],
        "Stability of the concepts": [one.stability for one in classes],
        "Importance of the concepts": [*(value for one in classes for value in one.importances)],
        "Images given to a class": [float(one.n_images) for one in classes],
        RADII: radii,
    }
    made = (_histogram(title, [v for v in values if v is not None]) for title, values in columns.items())
    return tuple(found for found in made if found is not None)


def _histogram(title: str, values: Sequence[float]) -> Histogram | None:
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return None
    inside = max(known) <= 1 and min(known) >= 0 and title != RADII
    low, high = (0.0, 1.0) if inside else (min(known), max(known) or 1.0)
    counts, edges = np.histogram(known, BINS, (low, high if high > low else low + 1))
    return Histogram(title, UNIT if title == RADII else "", tuple(map(float, edges)), tuple(map(int, counts)))
