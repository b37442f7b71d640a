"""Explanations for FiftyOne: a dataset whose samples are the pictures and whose labels are the maps as heatmaps.

The folder has the JSON format of datasets without a database version, which the importer of ``FiftyOneDataset`` reads:
``metadata.json``, ``samples.json``, and a gray picture for each map. FiftyOne is not needed to write it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from lit_coiba.core.errors import InputError, warn
from lit_coiba.core.printable import printable
from lit_coiba.data.files.class_names import ClassNames
from lit_coiba.data.files.image_file import image_size
from lit_coiba.data.transforms import Transform
from lit_coiba.files.atomic import atomically
from lit_coiba.files.given_path import given_path
from lit_coiba.files.owned import check_apart, check_own_file, has_keys
from lit_coiba.files.regular import clause, is_regular
from lit_coiba.functional import resize_map
from lit_coiba.pictures.about import explains_predictions, method_name
from lit_coiba.pictures.names import class_name
from lit_coiba.pictures.order import predicted
from lit_coiba.pictures.sample_pictures import recipe, sample_file
from lit_coiba.store import ExplanationStore, Row
from lit_coiba.store.export import export_store, file_name

FOLDER = "fiftyone"  # in the store
METADATA, SAMPLES = "metadata.json", "samples.json"
HEATMAP = "heatmap"  # field of the first map of a picture; others have a number behind it
_OURS = {METADATA: has_keys("media_type", "info"), SAMPLES: has_keys("samples")}


def export_fiftyone(
    store: ExplanationStore,
    images: str | os.PathLike[str] | None,
    output: str | os.PathLike[str] | None = None,
    classes: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Path:
    """Write the explanations of a store as a dataset that FiftyOne opens.

    ``fiftyone.Dataset.from_dir(DIR, dataset_type=fiftyone.types.FiftyOneDataset)`` reads it. A sample is a picture; its
    fields are ``heatmap`` (``heatmap_2``, ... where several classes of it were explained), ``predicted`` and, where the
    label is known, ``ground_truth``. A heatmap covers the whole picture, with 0 where the model did not see it; gray 0
    to 255 stands for the map's `low` to `high`, which are attributes of the heatmap beside `target` and `probability`.
    Paths are absolute: pictures and folder stay where they are, or the export is made again.

    Pictures that cannot be read are left out, with a warning. The same call again does what is missing.

    Args:
        store: The store.
        images: Folder of the pictures that were explained, which ids are relative to.
        output: Folder for the files; None = ``fiftyone`` in the store.
        classes: File with the model's class names; None = those that the store has.
        progress: Whether to show a progress bar on stderr.

    Returns:
        The folder.

    Raises:
        InputError: There is no such folder of pictures, none of them can be read, or `output` cannot be written.
    """
    if images is None:
        raise InputError("samples of FiftyOne are the pictures that were explained: give their folder, --images DIR")
    folder = given_path(images, "images")
    if not folder.is_dir():
        raise InputError(f"images: {printable(folder, 200)} is not a folder: give the folder that was data.root")
    transform = Transform(recipe(store.manifest.identity.get("preprocessing"), store.path))
    names = ClassNames.read(given_path(classes, "classes")).names if classes is not None else store.manifest.class_names
    target = store.path / FOLDER if output is None else given_path(output, "output")
    check_apart(target, "output", [folder])
    for name, ours in _OURS.items():
        check_own_file(target / name, "output", ours)
    missing: list[str] = []

    def draw(row: Row) -> Image.Image | None:
        try:
            height, width = image_size(sample_file(folder, row.id))
        except (OSError, ValueError) as error:
            missing.append(f"{printable(row.id, 100)}: {printable(error, 100)}")
            return None
        return gray(row.map, transform, height, width)

    written = export_store(iter(store), len(store), store.manifest.digest, "fiftyone", target, progress, draw, names)
    if missing and not written:
        raise InputError(
            f"none of the {len(missing)} pictures can be read below {printable(folder, 100)} ({missing[0]}):"
            " give the folder that was data.root"
        )
    try:
        with atomically(target / SAMPLES) as out:
            out.writelines(_json_lines(_samples(store, folder.absolute(), target.absolute(), names)))
        with atomically(target / METADATA) as out:
            out.write(json.dumps(_metadata(store, names), indent=1).encode())
    except OSError as error:
        raise InputError(f"output {target} cannot be written ({clause(error)}): fix the cause and rerun") from error
    if missing:
        warn(f"{len(missing)} pictures cannot be read and are left out, such as {missing[0]}", stacklevel=2)
    return target


def gray(map: Tensor, transform: Transform, height: int, width: int) -> Image.Image:
    """A map as a gray picture that covers a whole picture of this size, at the size of its resized copy.

    Args:
        map: ``(h, w)``, of the model input.
        transform: How the picture became model input.
        height: Of the picture, in pixels.
        width: The same.
    """
    low, high = span(map)
    values = map.double().nan_to_num(0.0, 0.0, 0.0)
    shares = ((values - low) / ((high - low) or 1.0)).clamp(0, 1)
    nothing = -low / ((high - low) or 1.0)  # what 0 becomes
    seen = resize_map(shares[None] - nothing, transform.preprocessing.size)[0]
    whole = (transform.whole(seen, height, width) + nothing).clamp(0, 1)
    return Image.fromarray((whole * 255).round().to(torch.uint8).numpy())


def span(map: Tensor) -> tuple[float, float]:
    """What black and white stand for: 0 or the lowest value, and the highest one, of those that are finite."""
    values = map.double().nan_to_num(0.0, 0.0, 0.0)
    return min(0.0, float(values.min())), max(0.0, float(values.max()))


def _samples(store: ExplanationStore, images: Path, target: Path, names: list[str]) -> Iterator[dict[str, Any]]:
    """The samples as FiftyOne's documents: a picture with all its explanations."""
    always = explains_predictions(store.manifest)
    for name, rows in groupby(iter(store), key=lambda row: row.id):
        fields: dict[str, Any] = {}
        for row in rows:
            file = target / file_name(row.id, row.target, "png")
            if not is_regular(file):
                continue
            number = sum(key.startswith(HEATMAP) for key in fields) + 1
            fields[HEATMAP if number == 1 else f"{HEATMAP}_{number}"] = _heatmap(row, file, names)
            found = predicted(row, always)
            if found.cls >= 0:
                fields["predicted"] = _class(class_name(found.cls, names), found.probability)
            if row.label >= 0:
                fields["ground_truth"] = _class(class_name(row.label, names))
        if fields:
            yield {"filepath": str(images / name), "tags": [], "metadata": None, "_media_type": "image", **fields}


def _heatmap(row: Row, file: Path, names: list[str]) -> dict[str, Any]:
    low, high = span(row.map)
    about = {"target": class_name(row.target, names), "probability": row.probability, "low": low, "high": high}
    return {"_cls": "Heatmap", "tags": [], "map_path": str(file), "range": [0, 255], **about}


def _class(name: str, confidence: float | None = None) -> dict[str, Any]:
    return {"_cls": "Classification", "tags": [], "label": name, "confidence": confidence}


def _metadata(store: ExplanationStore, names: list[str]) -> dict[str, Any]:
    """About the dataset; without a version of FiftyOne, so that it takes the fields as they are."""
    info = {"method": method_name(store.manifest), "store": store.manifest.digest, "default_classes": list(names)}
    return {"name": f"{store.path.resolve().name}-{store.manifest.digest[:8]}", "media_type": "image", "info": info}


def _json_lines(samples: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """One JSON object, a sample in each line, one sample in memory."""
    yield b'{"samples": ['
    for number, sample in enumerate(samples):
        yield (",\n" if number else "\n").encode() + json.dumps(sample, allow_nan=False).encode()
    yield b"\n]}\n"
