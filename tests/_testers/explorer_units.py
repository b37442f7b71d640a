"""Prototypes and visualizations that are made up."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from lit_coiba.files.digests import seal_of_file, sealed
from lit_coiba.files.owned import MARKER
from lit_coiba.prototypes.table import SCHEMA, SUMMARY, TABLE, write_summary
from lit_coiba.store import Manifest
from tests._testers.explorer_pictures import picture, webp

if TYPE_CHECKING:
    from tests._testers.explorer_runs import World


def write_prototypes(folder: Path, world: World) -> Path:
    """Units with three patches each; the last one is dead, the first two are duplicates."""
    folder.mkdir(parents=True, exist_ok=True)
    Manifest(world.identity(patches=3, score="activation", split="train"), world.recorded()).save(folder)
    units, rows = range(world.units), []
    for unit in units[:-1]:
        cls = unit % world.classes
        for side in (1, -1):
            for rank, (name, label) in enumerate(zip(world.ids(cls)[:3], world.labels(cls))):
                box = {"top": 8, "left": 8, "bottom": 16, "right": 16}
                crop = {"crop_top": 0, "crop_left": 0, "crop": _jpeg(world, unit, rank)} if rank < 2 else {}
                about = {"unit": unit, "side": side, "rank": rank, "id": name, "label": label}
                rows.append({**about, "score": side * (3.0 - rank), **box, **crop})
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), folder / TABLE)
    told = {
        "units": world.units,
        "sides": 2,
        "classes": world.class_names,
        "dead": [units[-1]],
        "unused": [],
        "duplicate": [[0, 1]] if world.units > 2 else [],
        "users": [[[unit % world.classes, 1.5], [(unit + 1) % world.classes, 0.5]] for unit in units],
        "own": [[[cls % world.units, 1.5]] for cls in range(world.classes)],
        "importance": [3.0 - 0.01 * unit for unit in units],
    }
    write_summary(folder / SUMMARY, told)
    return folder


def write_visualizations(folder: Path, world: World) -> Path:
    """A picture optimized for each class, for its first two concepts, and for a unit."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).write_text(json.dumps({"made by": "visualize"}))
    about = {"model": world.model, "preprocessing": world.identity()["preprocessing"], "class_names": world.class_names}
    told = sealed({**about, "visualizer": {"class": "MACO"}, "others": {}, "versions": {}})
    (folder / "run.json").write_text(json.dumps(told))
    for cls in range(world.classes):
        write_item(folder, world, f"class-{cls:05d}", kind="class", cls=cls)
        for concept in range(min(2, world.r)):
            key = f"concept-{cls:05d}-{concept:02d}"
            write_item(folder, world, key, kind="concept", cls=cls, concept=concept, layer="blocks.2")
    write_item(folder, world, "unit-00000", kind="unit", unit=0)
    return folder


def write_item(folder: Path, world: World, key: str, **told) -> None:
    """One optimized image."""
    place = folder / "items" / key
    place.mkdir(parents=True, exist_ok=True)
    random = world.random(20, *key.encode())
    (place / "picture.webp").write_bytes(webp(random, 64))
    (place / "transparency.webp").write_bytes(webp(random, 64, "RGBA"))
    seals = {name: seal_of_file(place / name) for name in ("picture.webp", "transparency.webp")}
    empty = dict.fromkeys(("cls", "concept", "unit", "layer", "side"))
    item = {"key": key, **empty, **told, "name": key, "method": "MACO", "steps": 8, "of": "0", "files": seals}
    (place / "item.json").write_text(json.dumps(sealed({**item, "score_first": 0.5, "score_last": 2.5})))


def _jpeg(world: World, *key: int) -> bytes:
    out = io.BytesIO()
    picture(world.random(21, *key), 24).save(out, "JPEG")
    return out.getvalue()
