"""The folder of one class in a concept run: found, measured, drawn and written, the report last."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from lit_coiba.concepts.additive_head import AdditiveHead
from lit_coiba.concepts.class_report import ClassReport
from lit_coiba.concepts.class_study import ClassStudy, Points, without_concepts
from lit_coiba.concepts.concept_run import CROPS, CROPS_FILE, FOUND, POINTS, POINTS_FILE, REPORT
from lit_coiba.concepts.concepts import Concepts
from lit_coiba.concepts.crops import crop_boxes, default_crop_size
from lit_coiba.concepts.plane import plane
from lit_coiba.core.batch import Batch
from lit_coiba.core.frozen import frozen
from lit_coiba.core.network import Network
from lit_coiba.files.atomic import atomically
from lit_coiba.files.digests import seal_of_file, sealed
from lit_coiba.pictures.painting import painted_over
from lit_coiba.pictures.scale import Scale
from lit_coiba.pictures.webp import webp
from lit_coiba.prototypes.patches import Box, around, cell_box, cut

_BATCH = 64  # images
PICTURE, CROP = 256, 160  # pixels of the longer side of what the tables hold


def write_class(
    study: ClassStudy,
    model: Network,
    batches: Sequence[Batch],
    folder: Path,
    cls: int,
    name: str,
    predicted: int,
    head: AdditiveHead | None,
    crops: int,
) -> ClassReport:
    """Find and measure the concepts of a class in some images, and write what is known of it.

    Args:
        study: How.
        model: The model, left as it was.
        batches: Images that the model gives the class.
        folder: Folder of the class.
        cls: Number of the class.
        name: Name of the class.
        predicted: Number of images that the model gives the class.
        head: The linear classifier above the layer, if there is one.
        crops: Number of crops to keep for each concept.
    """
    images = torch.cat([batch.images for batch in batches]) if batches else torch.empty(0)
    ids = [name for batch in batches for name in batch.ids]
    labels = [label for batch in batches for label in batch.labels.tolist()]
    folder.mkdir(parents=True, exist_ok=True)
    wanted = study.craft.factorization.n_concepts if study.craft.factorization else 0
    rows = len(images) and _rows(study, model, len(images))
    if rows < max(wanted, 1):
        reason = (
            f"there are {rows} rows of activations, in {len(images)} images, for {wanted} concepts"
            if len(images)
            else "the model gives it none of the images"
        )
        report = without_concepts(cls, name, study.layer, predicted, reason)
        _write_report(folder, report, ())
        return report
    collected = study.craft.collect(model, images.split(_BATCH), cls, [study.layer])
    concepts = study.found(model, collected)
    stability = study.stability(model, collected, concepts)
    own = collected.rows[study.layer].images.unique()  # those that the model still gives the class, run by run
    with frozen(model):
        points, measured = study.points(model, concepts, images[own])
    report = study.report(concepts, name, predicted, points, measured, stability, head)
    concepts.save(folder / FOUND)
    with torch.no_grad():
        seen = (model.preprocessing.denormalize(images) * 255).clamp(0, 255).round().to(torch.uint8)
    chosen = own.tolist()
    _write(
        folder / POINTS_FILE,
        POINTS,
        _points(
            points,
            [ids[i] for i in chosen],
            [labels[i] for i in chosen],
            seen[own],
            plane(points.contributions, study.seed),
        ),
    )
    _write(folder / CROPS_FILE, CROPS, _crops(concepts, model, images, seen, ids, crops))
    _write_report(folder, report, (FOUND, POINTS_FILE, CROPS_FILE))
    return report


def _rows(study: ClassStudy, model: Network, images: int) -> int:
    """How many crops or positions so many images have."""
    grid, size = model.grid(study.layer), model.preprocessing.size
    side = study.craft.crop_size or default_crop_size(size)
    each = grid.height * grid.width if study.craft.tokens else len(crop_boxes(size, side))
    return images * each


def _write(file: Path, schema: pa.Schema, rows: Sequence[dict]) -> None:
    with atomically(file) as out:
        pq.write_table(pa.Table.from_pylist(list(rows), schema), out, compression="zstd")


def _write_report(folder: Path, report: ClassReport, files: Sequence[str]) -> None:
    told = sealed({**msgspec.to_builtins(report), "files": {name: seal_of_file(folder / name) for name in files}})
    with atomically(folder / REPORT) as out:
        out.write(f"{json.dumps(told, allow_nan=False)}\n".encode())


def _points(points: Points, ids: list[str], labels: list[int], seen: Tensor, places: Tensor) -> list[dict]:
    """Rows of the table of images."""
    tops, at = points.contributions.argmax(1).tolist(), places.tolist()
    return [
        {
            "id": ids[i],
            "label": None if labels[i] < 0 else labels[i],
            "logit": float(points.logits[i]),
            "probability": float(points.probabilities[i]),
            "contributions": points.contributions[i].tolist(),
            "coefficients": points.coefficients[i].tolist(),
            "top": tops[i],
            "x": at[i][0],
            "y": at[i][1],
            "picture": webp(seen[i], PICTURE),
        }
        for i in range(len(ids))
    ]


def _crops(
    concepts: Concepts, model: Network, images: Tensor, seen: Tensor, ids: Sequence[str], count: int
) -> list[dict]:
    """Rows of the table of crops, strongest first."""
    size, grid = (images.shape[-2], images.shape[-1]), model.grid(concepts.about.layer)
    boxes = crop_boxes(size, concepts.about.crop_size) if concepts.about.crop_size else []

    def box(place: int) -> Box:
        return boxes[place] if boxes else around(cell_box(place, (grid.height, grid.width), size), size)

    chosen = [strongest_of_each_image(concepts, concept, count) for concept in range(len(concepts))]
    drawn = sorted({int(concepts.images[row]) for rows in chosen for row in rows})
    where = {image: k for k, image in enumerate(drawn)}
    device = next((weights.device for weights in model.parameters()), torch.device("cpu"))
    maps = torch.cat([concepts.transform(model, part.to(device)).cpu() for part in images[drawn].split(16)])
    scales = [Scale.common(maps[:, concept]) for concept in range(len(concepts))]
    rows = []
    for concept, strongest in enumerate(chosen):
        for rank, row in enumerate(strongest):
            image, place = int(concepts.images[row]), box(int(concepts.places[row]))
            heat = painted_over(seen[image], maps[where[image], concept], scales[concept])
            rows.append(
                {
                    **{"concept": concept, "rank": rank, "id": ids[image]},
                    "coefficient": float(concepts.coefficients[row, concept]),
                    **place._asdict(),
                    "crop": webp(cut(seen[image], place), CROP),
                    "map": webp(heat, PICTURE),
                }
            )
    return rows


def strongest_of_each_image(concepts: Concepts, concept: int, count: int) -> list[int]:
    """Rows that show a concept most, strongest first, at most one of an image."""
    found: dict[int, int] = {}
    for row in concepts.strongest(concept, len(concepts.coefficients)).tolist():
        found.setdefault(int(concepts.images[row]), row)
        if len(found) == count:
            break
    return list(found.values())
