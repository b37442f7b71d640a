"""The table of prototypes on disk: a row for each patch, with its place, its strength and a crop."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from torch import Tensor

from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.transforms import Transform
from lit_coiba.files.atomic import atomically
from lit_coiba.files.digests import is_file_sealed, is_sealed, seal_of_file, sealed, warn_undigested
from lit_coiba.files.json_text import typed
from lit_coiba.files.regular import open_regular
from lit_coiba.functional import Strongest, duplicates
from lit_coiba.prototypes.patches import around, cell_box, cut, encode

TABLE, SUMMARY = "prototypes.parquet", "prototypes.json"
CROPS = 5  # of each side of a unit are kept as pictures
USERS, OWN = 3, 10  # classes listed for a unit, units listed for a class
SCHEMA = pa.schema(
    {
        "unit": pa.int32(),
        "side": pa.int8(),  # 1 = strongest positive, -1 = most negative
        "rank": pa.int32(),  # 0 = the strongest
        "id": pa.string(),
        "label": pa.int32(),  # null = no label
        "score": pa.float32(),  # signed
        **dict.fromkeys(("top", "left", "bottom", "right"), pa.int32()),  # the cell, in pixels of the model's input
        **dict.fromkeys(("crop_top", "crop_left"), pa.int32()),  # where the crop begins; null without
        "crop": pa.binary(),  # JPEG: the cell and what is around it; null for all but the strongest
    }
)
LONGEST = 1000  # characters of the name of a class
_TABLE_SEAL = "table"  # in the summary
_GROUP = 64  # units of a row group


def write_table(
    file: Path,
    found: Strongest,
    grid: tuple[int, int],
    dataset: ImageDataset,
    transform: Transform,
    crops: int = CROPS,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write the table, whole or not at all; images are read once, and only the crops are kept in memory.

    Args:
        file: File to write.
        found: The patches; sides in the order positive, negative.
        grid: Height and width of what its cells are counted on.
        dataset: The images, by the numbers in `found`.
        transform: Transform that made the images model input.
        crops: Patches of each side of a unit to keep as pictures; an image that cannot be read has none.
        tell: Callback with the number of images read and their total.
    """
    pictures = _crops(found, grid, dataset, transform, crops, tell)
    with atomically(file) as out, pq.ParquetWriter(out, SCHEMA, compression="zstd") as writer:
        for start in range(0, found.strengths.shape[1], _GROUP):
            units = range(start, min(start + _GROUP, found.strengths.shape[1]))
            rows = [row for unit in units for row in _rows(found, unit, grid, dataset, transform, pictures, crops)]
            writer.write_table(pa.Table.from_pylist(rows, SCHEMA))


def summary(found: Strongest, weights: Tensor | None, classes: Sequence[str]) -> dict[str, Any]:
    """What the units are for, as plain values.

    - ``dead``: units that answer to no image: their strength is 0 or less on every side.
    - ``unused``: units without weight for any class, less than a thousandth of the largest; empty where units have no
      weights.
    - ``duplicate``: pairs of units that share more than half of their strongest patches, see `functional.duplicates`.
    - ``users``: for each unit the classes of largest weight, ``[class, weight]``.
    - ``own``: for each class the units of largest weight, ``[unit, weight]``.
    - ``importance``: of each unit: its strength on its stronger side times its largest absolute weight, if it has any.
    """
    peaks = found.strengths.amax((0, 2)).clamp_min(0)
    told: dict[str, Any] = {
        "units": found.strengths.shape[1],
        "sides": found.strengths.shape[0],
        "classes": list(classes),
        "dead": (peaks <= 0).nonzero().flatten().tolist(),
        "unused": [],
        "duplicate": duplicates(found).tolist(),
        "users": None,
        "own": None,
        "importance": peaks.tolist(),
    }
    if weights is None:
        return told
    weights = weights.detach().float().cpu()
    sizes = weights.abs().amax(0)
    told["unused"] = (sizes <= 1e-3 * sizes.max()).nonzero().flatten().tolist()
    told["users"] = _largest(weights.T, USERS)
    told["own"] = _largest(weights, OWN)
    told["importance"] = (peaks * sizes).tolist()
    return told


class Summary(msgspec.Struct, kw_only=True):
    """What the file of `summary` has to say; see there."""

    units: Annotated[int, msgspec.Meta(ge=1, le=10**7)]
    sides: Literal[1, 2]
    classes: list[str]
    dead: list[int]
    unused: list[int]
    duplicate: list[tuple[int, int]]
    users: list[list[tuple[int, float]]] | None
    own: list[list[tuple[int, float]]] | None
    importance: list[float]

    def check(self) -> None:
        """Refuse parts that contradict one another.

        Raises:
            ValueError: Saying which.
        """
        for what, numbers in (("dead", self.dead), ("unused", self.unused), ("duplicate", sum(self.duplicate, ()))):
            if any(not 0 <= unit < self.units for unit in numbers):
                raise ValueError(f"{SUMMARY} has a unit under {what} that there is not")
        if len(self.importance) != self.units:
            raise ValueError(f"{SUMMARY} has the importance of {len(self.importance)} units, of {self.units}")
        if (self.users is None) != (self.own is None) or len(self.users or range(self.units)) != self.units:
            raise ValueError(f"{SUMMARY} does not have the classes of every unit")
        known = len(self.own or ())
        if any(not 0 <= unit < self.units for units in self.own or () for unit, _ in units) or any(
            not 0 <= number < known for classes in self.users or () for number, _ in classes
        ):
            raise ValueError(f"{SUMMARY} has a unit or a class that there is not")
        if self.own is not None and len(self.classes) not in (0, known):
            raise ValueError(f"{SUMMARY} names {len(self.classes)} classes, of {known}")
        if long := next((name for name in self.classes if len(name) > LONGEST), None):
            raise ValueError(f"{SUMMARY} has the name of a class with {len(long):,} characters")


def checked(file: Path, told: Mapping[str, Any]) -> pa.Table:
    """The table without its crops, whose content makes sense and goes with the summary `told`.

    Raises:
        ValueError: It does not; the message says why.
        OSError: It cannot be read.
    """
    typed(told, Summary).check()
    if is_sealed(told) is None:
        warn_undigested(file.with_name(SUMMARY), "run lit-coiba prototypes again to be sure")
    elif not is_sealed(told) or not is_file_sealed(file, told.get(_TABLE_SEAL)):
        raise ValueError("their content is not what their digest says")
    with open_regular(file) as source:
        if not pq.read_schema(source).equals(SCHEMA):
            raise ValueError(f"{TABLE} has other columns")
        columns = [name for name in SCHEMA.names if name != "crop"]
        table = pq.read_table(source, columns=columns, use_threads=False)
    optional = ("label", "crop_top", "crop_left")
    if any(table[name].null_count for name in table.column_names if name not in optional):
        raise ValueError(f"{TABLE} has gaps")
    inside = {"unit": (0, told["units"] - 1), "side": (-1, 1), "rank": (0, None), "top": (0, None), "left": (0, None)}
    for name, (low, high) in inside.items():
        found = pc.min_max(table[name]).as_py()
        if table.num_rows and (found["min"] < low or (high is not None and found["max"] > high)):
            raise ValueError(f"{TABLE} has a {name} of {found['min']} to {found['max']}")
    for start, end in (("top", "bottom"), ("left", "right")):
        if table.num_rows and not pc.all(pc.less(table[start], table[end])).as_py():
            raise ValueError(f"{TABLE} has an empty box")
    return table


def relabel_table(file: Path, labels: Mapping[str, int]) -> bool:
    """Give rows the labels of now, whether there were others; one whose sample is not in `labels` keeps its own."""
    told = pq.read_table(file, columns=["id", "label"])
    ids, old = told["id"].to_pylist(), [-1 if label is None else label for label in told["label"].to_pylist()]
    new = [labels.get(name, label) for name, label in zip(ids, old)]
    if new == old:
        return False
    table = pq.read_table(file)
    column = pa.array([None if label < 0 else label for label in new], pa.int32())
    table = table.set_column(table.schema.get_field_index("label"), SCHEMA.field("label"), column)
    with atomically(file) as out:
        pq.write_table(table, out, compression="zstd", row_group_size=max(1, table.num_rows // 16))
    return True


def write_summary(file: Path, told: dict[str, Any]) -> None:
    """Write what `summary` says, with its digest and that of the table beside it."""
    content = sealed({**told, _TABLE_SEAL: seal_of_file(file.with_name(TABLE))})
    with atomically(file) as out:
        out.write(json.dumps(content, allow_nan=False).encode())


def _largest(rows: Tensor, count: int) -> list[list[tuple[int, float]]]:
    found = rows.topk(min(count, rows.shape[1]), 1)
    return [list(zip(places, values)) for places, values in zip(found.indices.tolist(), found.values.tolist())]


def _rows(
    found: Strongest,
    unit: int,
    grid: tuple[int, int],
    dataset: ImageDataset,
    transform: Transform,
    pictures: dict[tuple[int, int], bytes],
    crops: int,
) -> list[dict[str, Any]]:
    size, rows = transform.preprocessing.size, []
    for side, sign in zip(range(len(found.strengths)), (1, -1)):
        columns = (values[side, unit].tolist() for values in found)
        for rank, (strength, sample, cell) in enumerate(zip(*columns)):
            if strength <= 0:
                break  # they descend
            label, box = dataset.labels[sample], cell_box(cell, grid, size)
            window, crop = around(box, size), pictures.get((sample, cell)) if rank < crops else None
            rows.append(
                {
                    **{"unit": unit, "side": sign, "rank": rank, "id": dataset.ids[sample]},
                    **{"label": None if label < 0 else label, "score": sign * strength, **box._asdict()},
                    **({} if crop is None else {"crop_top": window.top, "crop_left": window.left, "crop": crop}),
                }
            )
    return rows


def _crops(
    found: Strongest,
    grid: tuple[int, int],
    dataset: ImageDataset,
    transform: Transform,
    crops: int,
    tell: Callable[[int, int], None],
) -> dict[tuple[int, int], bytes]:
    """The crop of each (sample, cell) that is among the first ranks of a unit."""
    there = found.strengths[..., :crops] > 0
    pairs = torch.stack([values[..., :crops][there] for values in (found.samples, found.cells)], 1).unique(dim=0)
    wanted: dict[int, list[int]] = {}
    for sample, cell in pairs.tolist():
        wanted.setdefault(sample, []).append(cell)
    size, made = transform.preprocessing.size, dict[tuple[int, int], bytes]()
    for done, (sample, cells) in enumerate(wanted.items(), 1):
        try:
            pixels = transform.pixels(dataset.image(sample))
        except Exception:  # whatever a user's dataset raises: it could be read a minute ago, and the row stays
            continue
        for cell in cells:
            made[sample, cell] = encode(cut(pixels, around(cell_box(cell, grid, size), size)))
        tell(done, len(wanted))
    return made
