"""A CSV that lists image files: their labels, the split they belong to, and boxes around the object."""

from __future__ import annotations

import csv
import math
import posixpath
from pathlib import Path
from typing import NamedTuple

from lit_coiba.core.errors import InputError

# What a column holds -> the names it is known by, the first that is there is taken (in any case).
COLUMNS = {
    "file": ("file", "filename", "file_name", "path", "image", "image_path"),
    "label": ("label", "class", "class_index", "imagenet_index", "target"),
    "split": ("split", "subset"),
    "x_min": ("x_min", "xmin", "x1"),
    "y_min": ("y_min", "ymin", "y1"),
    "x_max": ("x_max", "xmax", "x2"),
    "y_max": ("y_max", "ymax", "y2"),
}
_BOX = ("x_min", "y_min", "x_max", "y_max")


class Box(NamedTuple):
    """A box in pixels, columns `x_min` to `x_max` and rows `y_min` to `y_max`, both ends included."""

    x_min: int
    y_min: int
    x_max: int
    y_max: int


class Row(NamedTuple):
    """One line of the table."""

    line: int  # in the file, from 1
    file: str  # relative POSIX path
    label: str | None  # as written; None = there is no such column
    split: str | None
    box: Box | None


def read_table(path: Path, columns: dict[str, str] | None = None) -> list[Row]:
    """The rows of a CSV of image files.

    Args:
        path: The CSV, UTF-8, with a header.
        columns: What a column holds (a key of `COLUMNS`) -> its name in this file, where that is another.

    Raises:
        InputError: The file cannot be read, lacks a column, or a row makes no sense; the message names the line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            names = _find(list(reader.fieldnames or []), columns or {}, path)
            rows = [_row(fields, names, reader.line_num, path) for fields in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"csv: cannot read {path}: {error}") from error
    if not rows:
        raise InputError(f"csv: {path} has a header but no rows")
    return rows


def _find(header: list[str], given: dict[str, str], path: Path) -> dict[str, str]:
    """What a column holds -> its name in this header."""
    present = f"{path} has the columns {', '.join(header)}" if header else f"{path} is empty"
    for role, name in given.items():
        if role not in COLUMNS:
            raise InputError(f"columns: {role!r} is not one of {', '.join(COLUMNS)}")
        if name not in header:
            raise InputError(f"columns: no column {name!r} for {role}; {present}")
    folded = {name.strip().lower(): name for name in reversed(header)}
    names = dict(given)
    for role, aliases in COLUMNS.items():
        known = [alias for alias in aliases if alias in folded]
        if known:
            names.setdefault(role, folded[known[0]])
    if "file" not in names:
        raise InputError(
            f"csv: no column has the file names; {present}: rename one to file, or give its name in columns"
        )
    missing = [role for role in _BOX if role not in names]
    if 0 < len(missing) < len(_BOX):
        raise InputError(f"csv: boxes need four columns, and {', '.join(missing)} is missing; {present}")
    return names


def _row(fields: dict[str | None, str | None], names: dict[str, str], line: int, path: Path) -> Row:
    where = f"csv: line {line} of {path}"
    values = {role: fields[name] for role, name in names.items()}
    if None in fields or None in values.values():  # csv's way to say too many, too few
        raise InputError(
            f"{where} does not have as many fields as the header: a comma inside a field needs quotes around it"
        )
    texts = {role: (value or "").strip() for role, value in values.items()}
    file = posixpath.normpath(texts["file"])
    if not texts["file"]:
        raise InputError(f"{where} has no file name")
    if file == ".." or file.startswith(("/", "../")):
        raise InputError(f"{where}: {texts['file']!r} is outside the root: give paths relative to it")
    return Row(line, file, texts.get("label"), texts.get("split"), _box([texts.get(role, "") for role in _BOX], where))


def _box(texts: list[str], where: str) -> Box | None:
    if not any(texts):
        return None
    try:
        sides = [float(text) for text in texts]
    except ValueError:
        sides = [math.nan]
    if not all(map(math.isfinite, sides)):
        raise InputError(f"{where}: the box {', '.join(texts)} is not four numbers")
    box = Box(*map(math.floor, sides))
    if box.x_max < box.x_min or box.y_max < box.y_min:
        raise InputError(f"{where}: the box {', '.join(texts)} ends before it begins (x_min, y_min, x_max, y_max)")
    return box
