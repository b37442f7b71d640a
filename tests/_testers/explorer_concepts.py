"""A concept run, as `ConceptRun` reads it, of a linear model that is made up: its numbers fit together exactly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from lit_coiba.concepts.class_report import COLORS, ClassReport, ConceptReport, Effect
from lit_coiba.concepts.concept_run import (
    CLASSES,
    CROPS,
    CROPS_FILE,
    FOUND,
    POINTS,
    POINTS_FILE,
    PREDICTED,
    PREDICTIONS,
    REPORT,
)
from lit_coiba.concepts.concepts import Concepts
from lit_coiba.concepts.concepts_file import Header
from lit_coiba.files.digests import seal_of_file, sealed
from lit_coiba.store import Manifest
from tests._testers.explorer_pictures import webp

if TYPE_CHECKING:
    from tests._testers.explorer_runs import World

CHANNELS = 64
BIAS, RESIDUAL = 0.25, 0.0625


def contributions(world: World, cls: int) -> np.ndarray:
    """Of each concept to the logit of each image, ``(n, r)``; the last concept's are negative on average."""
    drawn = world.random(10, cls).uniform(0, 2, (world.images, world.r)).astype(np.float32)
    drawn[:, -1] *= -0.5
    return drawn


def write_concepts(folder: Path, world: World, layer: str = "blocks.2", empty: tuple[int, ...] = ()) -> Path:
    """A finished run; classes in `empty` have no concepts, and a reason."""
    folder.mkdir(parents=True, exist_ok=True)
    Manifest(world.identity(verb="concepts", layer=layer), world.recorded()).save(folder)
    rows: list[dict] = []
    for cls in range(world.classes):
        place = folder / CLASSES / f"{cls:05d}"
        place.mkdir(parents=True, exist_ok=True)
        found = contributions(world, cls)
        logits = found.sum(1) + BIAS + RESIDUAL
        for name, label, probability, logit in zip(world.ids(cls), world.labels(cls), world.probabilities(cls), logits):
            rows.append({"id": name, "label": label, "predicted": cls, "probability": probability, "logit": logit})
        if cls in empty:
            _write_report(place, _report(world, cls, layer, found[:, :0], reason="the model gives too few images this"))
            continue
        _write_found(place, world, cls, layer)
        _write_points(place, world, cls, found, logits)
        _write_crops(place, world, cls)
        _write_report(place, _report(world, cls, layer, found))
    pq.write_table(pa.Table.from_pylist(sorted(rows, key=lambda row: row["id"]), PREDICTIONS), folder / PREDICTED)
    return folder


def _report(world: World, cls: int, layer: str, found: np.ndarray, reason: str = "") -> ClassReport:
    means = found.mean(0)
    shares = means / means.sum() if len(means) else means
    top = np.bincount(found.argmax(1), minlength=world.r) if len(means) else []
    concepts = tuple(
        ConceptReport(
            importance=float(abs(mean) / abs(means).sum()),
            standard_error=0.01,
            sign=int(np.sign(mean)),
            share=float(shares[k]),
            contribution=_effect(mean),
            deletion=_effect(-mean),
            keep_only=_effect(mean - means.sum()),
            raised=_effect(mean),
            top_of=int(top[k]),
            color=COLORS[k % len(COLORS)],
            xy=(float(k), float(-k)),
            closest_classes=((cls, 0.75), ((cls + 1) % world.classes, 0.9 if k == 1 else 0.5)),
            stability=0.9,
        )
        for k, mean in enumerate(means)
    )
    return ClassReport(
        cls=cls,
        name=world.class_names[cls],
        layer=layer,
        predicted=world.images,
        used=world.images,
        measured=world.images,
        crop_size=16,
        rows=4 * world.images,
        error=0.125,
        sparsity=0.5,
        logit=float(means.sum()) + BIAS + RESIDUAL,
        bias=BIAS,
        residual=RESIDUAL,
        exact=1.0,
        stability=0.9 if concepts else None,
        top_deletion=_effect(-means.max() + means.min()) if concepts else None,
        concepts=concepts,
        reason=reason,
    )


def _effect(mean: float) -> Effect:
    return Effect(float(mean), float(mean) - 0.1, float(mean) + 0.1)


def directions(world: World, cls: int) -> torch.Tensor:
    """The dictionary ``(r, c)``; the first concepts of classes 0 and 1, 2 and 3, ... are nearly the same."""
    rows = world.random(11, cls).normal(0, 1, (world.r, CHANNELS))
    rows[0] = world.random(12, cls // 2).normal(0, 1, CHANNELS) + 0.05 * rows[0]
    return torch.from_numpy(rows).float()


def _write_found(place: Path, world: World, cls: int, layer: str) -> None:
    count = 4 * world.images
    numbers, places = torch.arange(count) // 4, torch.arange(count) % 4
    coefficients = torch.from_numpy(world.random(13, cls).uniform(0, 1, (count, world.r))).float()
    about = Header(layer, cls, world.model, "{}", "{}", "nnls", 16, world.images, world.images, 0.125)
    Concepts(about, directions(world, cls), coefficients, numbers, places).save(place / FOUND)


def _write_points(place: Path, world: World, cls: int, found: np.ndarray, logits: np.ndarray) -> None:
    rows = [
        {
            "id": name,
            "label": label,
            "logit": logit,
            "probability": probability,
            "contributions": row.tolist(),
            "coefficients": abs(row).tolist(),
            "top": int(row.argmax()),
            "x": float(row[0]),
            "y": float(row[1]),
            "picture": webp(world.random(4, cls, number)),
        }
        for number, (name, label, logit, probability, row) in enumerate(
            zip(world.ids(cls), world.labels(cls), logits, world.probabilities(cls), found)
        )
    ]
    pq.write_table(pa.Table.from_pylist(rows, POINTS), place / POINTS_FILE)


def _write_crops(place: Path, world: World, cls: int) -> None:
    box = {"top": 0, "left": 8, "bottom": 16, "right": 24}
    rows = [
        {
            "concept": concept,
            "rank": rank,
            "id": name,
            "coefficient": 1 / (1 + rank),
            **box,
            "crop": webp(world.random(14, cls, concept, rank), 16),
            "map": webp(world.random(15, cls, concept, rank)) if rank == 0 else None,
        }
        for concept in range(world.r)
        for rank, name in enumerate(world.ids(cls)[:3])
    ]
    pq.write_table(pa.Table.from_pylist(rows, CROPS), place / CROPS_FILE)


def _write_report(place: Path, report: ClassReport) -> None:
    files = {name: seal_of_file(place / name) for name in (FOUND, POINTS_FILE, CROPS_FILE) if (place / name).exists()}
    told = sealed({**msgspec.to_builtins(report), "files": files})
    (place / REPORT).write_text(json.dumps(told))
