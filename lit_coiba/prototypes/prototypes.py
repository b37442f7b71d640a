"""Prototypes as ``Trainer.prototypes`` leaves them: read from their folder."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.old_names import current_summary
from lit_coiba.core.printable import printable
from lit_coiba.files.given_path import given_path
from lit_coiba.files.json_text import read_json
from lit_coiba.files.regular import clause, open_regular
from lit_coiba.prototypes.patches import Box, decode
from lit_coiba.prototypes.table import SUMMARY, TABLE, checked
from lit_coiba.store import Manifest

LARGEST = 2**29  # bytes of a summary


class Patch(NamedTuple):
    """One cell of one training image that a unit answers to."""

    unit: int
    side: int  # 1 = positive, -1 = negative
    rank: int  # 0 = the strongest of the unit's side
    id: str  # of the image
    label: int  # -1 = none
    score: float  # signed
    box: Box  # the cell, in pixels of the model's input
    crop: Tensor | None  # the cell and what is around it, (3, h, w) uint8; the strongest have one
    inner: Box | None  # the cell in pixels of the crop


class Prototypes:
    """The strongest patches of every unit of a head.

    Args:
        folder: Output folder of ``lit-coiba prototypes``.

    Raises:
        InputError: There are no prototypes, or they are damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = given_path(folder, "prototypes")
        try:
            self.manifest = Manifest.load(self.path)
            told: dict[str, Any] = read_json(self.path / SUMMARY, dict[str, Any], "summary", LARGEST)
            self.summary = current_summary(told)
            self._table: pa.Table = checked(self.path / TABLE, self.summary)
        except FileNotFoundError as error:
            raise InputError(f"{folder} has no prototypes: run lit-coiba prototypes --output {folder} first") from error
        except (ValueError, TypeError, LookupError, pa.ArrowException, OSError) as error:
            reason = clause(error) if isinstance(error, OSError) else str(error)
            raise InputError(
                f"the prototypes in {printable(folder, 200)} cannot be read ({printable(reason, 200)}): run lit-coiba"
                " prototypes again"
            ) from error

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @property
    def units(self) -> int:
        """How many units the head has."""
        return int(self.summary["units"])

    @property
    def split(self) -> str:
        """The split of the data that the patches are from."""
        return str(self.manifest.identity.get("split", "train"))

    @property
    def classes(self) -> list[str]:
        """Names of the classes; empty = unknown."""
        return list(self.summary["classes"])

    @property
    def dead(self) -> list[int]:
        """Units that answer to no image."""
        return list(self.summary["dead"])

    @property
    def unused(self) -> list[int]:
        """Units that no class uses."""
        return list(self.summary["unused"])

    @property
    def duplicate(self) -> list[tuple[int, int]]:
        """Pairs of units that share more than half of their strongest patches."""
        return [(first, second) for first, second in self.summary["duplicate"]]

    @property
    def important(self) -> list[int]:
        """All units, those first that can add most to a logit."""
        importance = self.summary["importance"]
        return sorted(range(self.units), key=lambda unit: -importance[unit])

    def rows(self, unit: int, side: int = 1) -> list[int]:
        """Numbers of the rows of a unit's side, the strongest first.

        Raises:
            InputError: There is no such unit.
        """
        if not 0 <= unit < self.units:
            raise InputError(f"unit is {unit}, but the head has units 0 to {self.units - 1}")
        return self._places.get((unit, side), [])

    def of(self, unit: int, side: int = 1, count: int | None = None) -> list[Patch]:
        """The patches of a unit, the strongest first.

        Args:
            unit: Index of the unit, from 0.
            side: 1 = positive, -1 = negative.
            count: Largest number of patches; None = all.
        """
        return [self[row] for row in self.rows(unit, side)[:count]]

    def __getitem__(self, row: int) -> Patch:
        """A patch with its crop, by the number of its row.

        Raises:
            InputError: There is no such row, or its crop is damaged.
        """
        if not 0 <= row < len(self):
            raise InputError(f"row is {row}, but the table has rows 0 to {len(self) - 1}")
        patch, content = self.place(row), self._crops[row].as_py()
        if content is None:
            return patch
        top, left = self._columns["crop_top"][row], self._columns["crop_left"][row]
        box = patch.box
        try:
            crop = decode(content)
        except OSError as error:
            raise InputError(
                f"row {row} of {self.path / TABLE} is damaged ({error}): run lit-coiba prototypes again"
            ) from error
        return patch._replace(crop=crop, inner=Box(box.top - top, box.left - left, box.bottom - top, box.right - left))

    def place(self, row: int) -> Patch:
        """A patch without its crop, by the number of its row."""
        told = {name: column[row] for name, column in self._columns.items()}
        label, box = -1 if told["label"] is None else told["label"], Box(*(told[name] for name in Box._fields))
        return Patch(told["unit"], told["side"], told["rank"], told["id"], label, told["score"], box, None, None)

    def to_pandas(self) -> Any:
        """The table without crops as a pandas DataFrame; needs pandas."""
        return self._table.to_pandas()

    def digest(self) -> str:
        """SHA-256 of the table without crops."""
        return hashlib.sha256(json.dumps(self._columns).encode()).hexdigest()

    @cached_property
    def _columns(self) -> dict[str, list[Any]]:
        return {name: self._table[name].to_pylist() for name in self._table.column_names}

    @cached_property
    def _crops(self) -> Any:
        with open_regular(self.path / TABLE) as source:
            return pq.read_table(source, columns=["crop"], use_threads=False)["crop"]

    @cached_property
    def _places(self) -> dict[tuple[int, int], list[int]]:
        places: dict[tuple[int, int], list[int]] = {}
        for row, key in enumerate(zip(self._columns["unit"], self._columns["side"])):
            places.setdefault(key, []).append(row)
        return places
