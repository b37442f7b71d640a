"""One block of explanations in memory, and as an Arrow table: a row per (id, target), then a row per failure."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from lit_coiba.core.batch import Failure
from lit_coiba.core.errors import InputError
from lit_coiba.files.json_text import decode_json
from lit_coiba.functional import Places, resize_map

COLUMNS = {  # every block has these, then one column per extra
    "id": pa.string(),
    "label": pa.int32(),  # null = no label
    "target": pa.int32(),  # null, like what follows, where the sample failed
    "probability": pa.float32(),
    "height": pa.int32(),
    "width": pa.int32(),
    "map": pa.list_(pa.float32()),  # row-major
    "error": pa.string(),  # null = explained
}
# Where the cells of maps are not equal parts of the image: edges of their rows and columns in pixels, and its size.
PLACES = ("row_edges", "column_edges", "image_size")
# Extras that say what the model predicts where something else is explained; absent in stores of version 0.1.0.
PREDICTION = ("predicted", "predicted_probability")
VERSION = "sample_version"  # column of texts, see `data.fingerprint`; absent in stores of version 0.1.0
_NUMPY = {pa.float32(): np.float32, pa.float64(): np.float64, pa.int64(): np.int64}  # of maps and extras
_SHAPE = b"shape"  # field metadata of an extra: JSON list, the shape of one row


class BlockRecord(NamedTuple):
    """What became of one block of a dataset: R explanations, unique by (id, target), and the samples without one."""

    block: int  # number of the block in the dataset
    ids: tuple[str, ...]  # R sample ids; a sample explained for k targets comes k times
    targets: Tensor  # (R,) class index explained
    labels: Tensor  # (R,) class index; -1 = no label
    probabilities: Tensor  # (R,) the model's probability of the target
    maps: Tensor  # (R, h, w) stored as float32
    extras: dict[str, Tensor]  # name -> (R, ...), stored as float32, float64 or int64
    failures: tuple[Failure, ...] = ()
    places: Places | None = None  # the pixels that the cells of the maps cover; None = equal parts of the image
    versions: tuple[str, ...] | None = None  # R versions of samples, see `data.fingerprint`; None = not known


class Records(NamedTuple):
    """What became of one block in several stores."""

    stores: dict[str, BlockRecord]  # name of the store -> what goes there
    failures: tuple[Failure, ...]  # samples without scores, the same in all stores


@dataclass(frozen=True, eq=False)
class Row:
    """One explanation: of one sample, for one target."""

    id: str
    label: int  # -1 = no label
    target: int
    probability: float
    map: Tensor  # (h, w) float32; at the image's pixels where the cells that are stored are not equal
    extras: dict[str, Tensor]  # name -> (...): float32, float64 or int64
    cells: Tensor | None = None  # the map as it is stored, where its cells are not equal parts of the image
    places: Places | None = None  # the pixels that these cover


def to_table(record: BlockRecord) -> pa.Table:
    """A record as a table; see `COLUMNS`. Half precision becomes float32, booleans and small integers int64.

    Raises:
        InputError: The parts of the record do not fit together, or an id is not valid text.

    Example:
        >>> one = torch.tensor([1])
        >>> table = to_table(BlockRecord(0, ("cat.png",), one, one, one / 2, torch.ones(1, 2, 2), {"bits": one * 0.5}))
        >>> table.column_names
        ['id', 'label', 'target', 'probability', 'height', 'width', 'map', 'bits', 'error']
        >>> from_table(table, block=0).extras
        {'bits': tensor([0.5000])}
    """
    _check(record)
    rows, failed = len(record.ids), len(record.failures)
    height, width = record.maps.shape[1:]
    labels = _numpy(record.labels, torch.int32)
    try:
        ids = pa.array([*record.ids, *(failure.id for failure in record.failures)], pa.string())
        errors = pa.array([None] * rows + [failure.reason for failure in record.failures], pa.string())
    except UnicodeEncodeError as error:
        raise InputError(
            f"block {record.block}: {error.object!r} is not valid Unicode text (a file name in another encoding?): "
            "rename the file"
        ) from error
    columns = {
        "label": pa.array(labels, mask=labels < 0),
        "target": pa.array(_numpy(record.targets, torch.int32)),
        "probability": pa.array(_numpy(record.probabilities, torch.float32)),
        "height": pa.array(np.full(rows, height, np.int32)),
        "width": pa.array(np.full(rows, width, np.int32)),
        "map": _lists(_numpy(record.maps, torch.float32)),
    }
    fields = [pa.field(name, COLUMNS[name]) for name in columns]
    for name, values in [*sorted(record.extras.items()), *_edges(record.places, rows)]:
        array = _numpy(values, _storage(record.block, name, values.dtype))
        columns[name] = pa.array(array) if array.ndim == 1 else _lists(array)
        fields.append(pa.field(name, columns[name].type, metadata={_SHAPE: json.dumps(array.shape[1:]).encode()}))
    if record.versions is not None:
        columns[VERSION] = pa.array(record.versions, pa.string())
        fields.append(pa.field(VERSION, pa.string()))
    schema = pa.schema([pa.field("id", pa.string()), *fields, pa.field("error", pa.string())])
    nulls = [pa.concat_arrays([values, pa.nulls(failed, values.type)]) for values in columns.values()]
    return pa.table([ids, *nulls, errors], schema=schema)


def from_table(table: pa.Table, block: int) -> BlockRecord:
    """The record that `to_table` made a table of. All its maps must have one size."""
    columns = Columns(table)
    rows = [columns.row(index) for index in range(len(columns))]
    maps = [row.map if row.cells is None else row.cells for row in rows]
    return BlockRecord(
        block,
        tuple(columns.ids),
        torch.tensor([row.target for row in rows], dtype=torch.int64),
        torch.tensor([row.label for row in rows], dtype=torch.int64),
        torch.tensor([row.probability for row in rows], dtype=torch.float32),
        torch.stack(maps) if rows else torch.zeros(0, 0, 0),
        {name: torch.from_numpy(values.copy()) for name, values in columns.extras.items()},
        failures(table),
        rows[0].places if rows else None,
        tuple(explained(table)[VERSION].to_pylist()) if VERSION in table.column_names else None,
    )


def explained(table: pa.Table) -> pa.Table:
    """The rows of a table that hold an explanation."""
    errors = table["error"]
    return table if errors.null_count == len(errors) else table.filter(pc.is_null(errors))


def failures(table: pa.Table) -> tuple[Failure, ...]:
    """The rows of a table that say why a sample has no explanation."""
    if table["error"].null_count == table.num_rows:
        return ()
    failed = table.filter(pc.is_valid(table["error"]))
    return tuple(map(Failure, failed["id"].to_pylist(), failed["error"].to_pylist()))


class Columns:
    """The explained rows of a table, decoded once, each to be had as a `Row` of its own tensors.

    Raises:
        ValueError: The columns contradict one another.
    """

    ids: list[str]
    extras: dict[str, np.ndarray]  # name -> (R, ...)

    def __init__(self, table: pa.Table) -> None:
        rows = explained(table)
        self.ids = rows["id"].to_pylist()
        self.extras = {
            field.name: _values(rows[field.name]).reshape(
                len(self.ids), *decode_json(field.metadata[_SHAPE], list[int])
            )
            for field in table.schema
            if field.name not in COLUMNS and field.name != VERSION
        }
        self._edges = [self.extras.pop(name) for name in PLACES if name in self.extras]
        self._labels = [-1 if label is None else label for label in rows["label"].to_pylist()]
        self._targets = rows["target"].to_pylist()
        self._probabilities = rows["probability"].to_pylist()
        self._sizes = list(zip(rows["height"].to_pylist(), rows["width"].to_pylist()))
        self._maps = _values(rows["map"])
        if any(side < 0 for size in self._sizes for side in size) or None in [*self._targets, *self._probabilities]:
            raise ValueError("a height, width, target or probability is missing or negative")
        self._ends = np.cumsum([0, *(height * width for height, width in self._sizes)])
        if self._ends[-1] != len(self._maps):
            raise ValueError("its maps do not have the size that height and width say")

    def __len__(self) -> int:
        return len(self.ids)

    def row(self, index: int) -> Row:
        """Row `index` (from 0, failures left out); its tensors are copies."""
        start, end = self._ends[index : index + 2]
        values = torch.from_numpy(self._maps[start:end].reshape(self._sizes[index]).copy())
        places = self._places(index)
        return Row(
            self.ids[index],
            self._labels[index],
            self._targets[index],
            self._probabilities[index],
            values if places is None else resize_map(values[None], places.size, places)[0],
            {name: torch.from_numpy(np.array(values[index])) for name, values in self.extras.items()},
            None if places is None else values,
            places,
        )

    def _places(self, index: int) -> Places | None:
        """The pixels that the cells of a row's map cover, where they are not equal.

        Raises:
            ValueError: They do not fit the map.
        """
        if not self._edges:
            return None
        rows, columns, size = (values[index].tolist() for values in self._edges)
        if (len(rows) - 1, len(columns) - 1) != self._sizes[index] or len(size) != 2 or min(size) < 1:
            raise ValueError("its maps do not have the edges that their cells have")
        return Places(tuple(rows), tuple(columns), (size[0], size[1]))


def _check(record: BlockRecord) -> None:
    """Refuse a record whose parts do not fit together."""
    where, rows = f"block {record.block}", len(record.ids)
    if record.maps.dim() != 3:
        raise InputError(f"{where}: maps have shape {tuple(record.maps.shape)}: give (rows, height, width)")
    fixed = {name: getattr(record, name) for name in ("targets", "labels", "probabilities")}
    for name, values in fixed.items():
        if values.dim() != 1:
            raise InputError(f"{where}: {name} have shape {tuple(values.shape)}: give one number per row")
    for name, values in {**fixed, "maps": record.maps, **record.extras}.items():
        if values.dim() == 0 or len(values) != rows:
            raise InputError(
                f"{where}: {name} has shape {tuple(values.shape)}, but there are {rows} ids: give one per id"
            )
    if record.versions is not None and len(record.versions) != rows:
        raise InputError(f"{where}: there are {len(record.versions)} versions for {rows} ids: give one per id")
    taken = sorted(record.extras.keys() & {*COLUMNS, *PLACES, VERSION})
    if taken:
        raise InputError(f"{where}: an extra cannot be called {taken[0]!r}: every row has a column of that name")
    counts = Counter(zip(record.ids, record.targets.tolist()))
    twice = [f"{sample!r} for target {target}" for (sample, target), count in counts.items() if count > 1]
    if twice:
        raise InputError(f"{where}: {twice[0]} comes {max(counts.values())} times: give each (id, target) once")


def _edges(places: Places | None, rows: int) -> list[tuple[str, Tensor]]:
    """Columns that say where the cells of each map lie; none where they are equal."""
    if places is None:
        return []
    values = (torch.tensor(part, dtype=torch.float64) for part in (places.rows, places.columns))
    return [(name, part.expand(rows, -1)) for name, part in zip(PLACES, (*values, torch.tensor(places.size)))]


def _storage(block: int, name: str, dtype: torch.dtype) -> torch.dtype:
    """The type that an extra is stored as."""
    if dtype in (torch.float32, torch.float64):
        return dtype
    if dtype in (torch.float16, torch.bfloat16):
        return torch.float32
    if dtype.is_complex or dtype.is_floating_point:
        raise InputError(f"block {block}: extra {name!r} is {dtype}: give float32, float64 or integers")
    return torch.int64


def _numpy(values: Tensor, dtype: torch.dtype) -> np.ndarray:
    return np.asarray(values.detach().to("cpu", dtype).contiguous().numpy())


def _lists(values: np.ndarray) -> pa.ListArray:
    """``(R, ...)`` as R lists of numbers in row-major order."""
    length = math.prod(values.shape[1:])
    offsets = np.arange(len(values) + 1, dtype=np.int32) * np.int32(length)
    return pa.ListArray.from_arrays(offsets, values.reshape(-1))


def _values(column: Any) -> np.ndarray:
    """All numbers of a column without nulls, those of its lists one after the other, read-only."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # what older versions of pyarrow combine into
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
    flat = array.flatten() if isinstance(array, pa.ListArray) else array
    dtype = np.dtype(_NUMPY[flat.type])
    buffer = flat.buffers()[1]
    if buffer is None or not len(flat):
        return np.empty(0, dtype)
    return np.frombuffer(buffer, dtype, len(flat), flat.offset * dtype.itemsize)  # to_numpy would import pandas
