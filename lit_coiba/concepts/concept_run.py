"""Concepts of many classes as ``Trainer.concepts`` leaves them: read from their folder.

::

    OUTPUT/manifest.json              what decides the results, and what was recorded with them
    OUTPUT/predictions.parquet        a row for each image, `PREDICTIONS`
    OUTPUT/classes/00017/             a class by its number
        concepts.safetensors          dictionary and coefficients, `Concepts`
        points.parquet                a row for each measured image, `POINTS`
        crops.parquet                 the strongest crops of each concept, `CROPS`
        class.json                    `ClassReport`, with the digests of the others; written last
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lit_coiba.concepts.class_report import ClassReport
from lit_coiba.concepts.concepts import Concepts
from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.files.digests import is_file_sealed, is_sealed
from lit_coiba.files.given_path import given_path
from lit_coiba.files.json_text import read_json, typed
from lit_coiba.files.regular import clause, read_bytes
from lit_coiba.store.manifest import Manifest

VERB = "concepts"
CLASSES, PREDICTED = "classes", "predictions.parquet"
REPORT, FOUND, POINTS_FILE, CROPS_FILE = "class.json", "concepts.safetensors", "points.parquet", "crops.parquet"
LARGEST = 2**29  # bytes of a table

PREDICTIONS = pa.schema(
    {
        "id": pa.string(),
        "label": pa.int32(),  # null = none, or no class of the model
        "predicted": pa.int32(),
        "probability": pa.float32(),  # of the predicted class
        "logit": pa.float32(),  # of the predicted class
    }
)
POINTS = pa.schema(
    {
        "id": pa.string(),
        "label": pa.int32(),
        "logit": pa.float32(),  # of the class
        "probability": pa.float32(),  # of the class
        "contributions": pa.list_(pa.float32()),  # of each concept to the logit
        "coefficients": pa.list_(pa.float32()),  # of each concept, the mean over places
        "top": pa.int32(),  # the concept of the largest contribution
        "x": pa.float32(),  # place in the strategy graph
        "y": pa.float32(),
        "picture": pa.binary(),  # what the model saw, WebP
    }
)
CROPS = pa.schema(
    {
        "concept": pa.int32(),
        "rank": pa.int32(),  # 0 = the strongest; at most one of an image
        "id": pa.string(),
        "coefficient": pa.float32(),
        **dict.fromkeys(("top", "left", "bottom", "right"), pa.int32()),  # in pixels of the model's input
        "crop": pa.binary(),  # WebP
        "map": pa.binary(),  # the concept map over the whole image, WebP; null = none
    }
)


class ConceptRun:
    """The concepts of the classes of a model.

    Args:
        folder: Output folder of ``lit-coiba concepts``.

    Raises:
        InputError: There is no such run, or it is damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = given_path(folder, "concepts")
        try:
            self.manifest = Manifest.load(self.path)
        except FileNotFoundError as error:
            raise InputError(
                f"{printable(folder, 200)} has no concepts: give a folder that lit-coiba concepts wrote, its --output"
            ) from error
        if self.manifest.identity.get("verb") != VERB:
            raise InputError(
                f"{printable(folder, 200)} is no folder of concepts: give one that lit-coiba concepts wrote"
            )

    @property
    def class_names(self) -> list[str]:
        """Names of all classes of the model; empty = unknown."""
        return self.manifest.class_names

    @cached_property
    def classes(self) -> list[int]:
        """Numbers of the classes that are finished, in order; also those that have no concepts."""
        folders = [entry for entry in _entries(self.path / CLASSES) if entry.name.isdigit()]
        return sorted(int(folder.name) for folder in folders if (folder / REPORT).is_file())

    def folder(self, cls: int) -> Path:
        """Where what is known of a class lies."""
        return self.path / CLASSES / f"{cls:05d}"

    def report(self, cls: int) -> ClassReport:
        """What is known of a class.

        Raises:
            InputError: It is not finished, or damaged.
        """
        told = self._told(cls)
        try:
            return typed(
                {name: value for name, value in told.items() if name in ClassReport.__struct_fields__}, ClassReport
            )
        except ValueError as error:
            raise self._damaged(cls, str(error)) from error

    def reports(self) -> Iterator[ClassReport]:
        """Those of all finished classes, one after the other."""
        return (self.report(cls) for cls in self.classes)

    def concepts(self, cls: int) -> Concepts:
        """Dictionary and coefficients of a class.

        Raises:
            InputError: It is not finished, has no concepts, or is damaged.
        """
        if reason := self.report(cls).reason:
            raise InputError(f"class {cls} has no concepts: {reason}")
        return Concepts.load(self.folder(cls) / FOUND)

    def points(self, cls: int) -> pa.Table:
        """The measured images of a class, `POINTS`.

        Raises:
            InputError: It is not finished, or damaged.
        """
        return self._table(cls, POINTS_FILE, POINTS)

    def crops(self, cls: int) -> pa.Table:
        """The strongest crops of each concept of a class, `CROPS`.

        Raises:
            InputError: It is not finished, or damaged.
        """
        return self._table(cls, CROPS_FILE, CROPS)

    def predictions(self) -> pa.Table:
        """What the model says of every image, `PREDICTIONS`.

        Raises:
            InputError: The run did not come so far, or the table is damaged.
        """
        return read_table(self.path / PREDICTED, PREDICTIONS)

    def is_whole(self, cls: int) -> bool:
        """Whether a class is finished and its files are those that it was finished with."""
        try:
            told = self._told(cls)
            return all(is_file_sealed(self.folder(cls) / name, seal) for name, seal in told.get("files", {}).items())
        except (InputError, OSError):
            return False

    def _told(self, cls: int) -> dict[str, Any]:
        try:
            told: dict[str, Any] = read_json(self.folder(cls) / REPORT, dict[str, Any], "concepts", LARGEST)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InputError(
                f"concepts: {printable(self.path, 200)} has nothing of class {cls}: run lit-coiba concepts to its end"
            ) from error
        if not is_sealed(told):
            raise self._damaged(cls, "its content is not what its digest says")
        return told

    def _table(self, cls: int, name: str, schema: pa.Schema) -> pa.Table:
        file, seal = self.folder(cls) / name, self._told(cls).get("files", {}).get(name)
        if seal is None:
            return schema.empty_table()
        try:
            if not is_file_sealed(file, seal):
                raise self._damaged(cls, f"{name} is not what its digest says")
        except OSError as error:
            raise self._damaged(cls, clause(error)) from error
        return read_table(file, schema)

    def _damaged(self, cls: int, reason: str) -> InputError:
        return InputError(
            f"concepts: class {cls} in {printable(self.path, 200)} is damaged ({printable(reason, 200)}): run lit-coiba"
            " concepts again, which makes it anew"
        )


def read_table(file: Path, schema: pa.Schema) -> pa.Table:
    """A table of a concept run, with these columns.

    Raises:
        InputError: There is none, or it is damaged.
    """
    try:
        table = pq.read_table(io.BytesIO(read_bytes(file, LARGEST)), use_threads=False)
    except FileNotFoundError as error:
        raise InputError(f"concepts: {printable(file, 200)} is not there: run lit-coiba concepts to its end") from error
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = clause(error) if isinstance(error, OSError) else str(error)
        raise InputError(
            f"concepts: {printable(file, 200)} is damaged ({printable(reason, 200)}): run it again"
        ) from error
    if not table.schema.equals(schema):
        raise InputError(f"concepts: {printable(file, 200)} has other columns: run it again with this version")
    return table


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
