"""A CSV that lists image files: their labels, the split they belong to, and boxes around the object."""

from __future__ import annotations

import math
import posixpath
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.data.files.boxes import Box, Shares
from lit_coiba.data.files.csv_file import read_csv

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
_OTHER_BOXES = (  # other ways to write a box, without a leading bbox_
    *(("x", "y", "w", "h"), ("x", "y", "width", "height"), ("left", "top", "width", "height")),
    *(("left", "top", "right", "bottom"), ("cx", "cy", "w", "h"), ("x_center", "y_center", "width", "height")),
    ("bbox",),
)
_SHOWN = 60  # characters of a text from the file in a message


class Row(NamedTuple):
    """One line of the table."""

    line: int  # in the file, from 1
    file: str  # relative POSIX path
    label: str | None  # as written; None = there is no such column
    split: str | None
    box: Box | Shares | None
    given: str = ""  # the path with the blanks around it, where it has any
    others: tuple[str, ...] = ()  # other ways to write the path: slashes for backslashes, accents in one sign or two


def read_table(path: Path, columns: dict[str, str] | None = None) -> list[Row]:
    """The rows of a CSV of image files.

    Boxes are in pixels; where all of them lie in [0, 1] and not all sides are whole, they are in shares of the picture.

    Args:
        path: The CSV, UTF-8, with a header.
        columns: What a column holds (a key of `COLUMNS`) -> its name in this file, where that is another.

    Raises:
        InputError: The file cannot be read, lacks a column, or a row makes no sense; the message names the line.
    """
    lines = read_csv(path, "csv")
    header = next(lines, (0, []))[1]
    places = _find(header, columns or {}, path)
    rows, sides = [], []
    for line, fields in lines:
        where = f"csv: line {line} of {path}"
        if len(fields) != len(header):
            raise InputError(
                f"{where} does not have as many fields as the header: a comma inside a field needs quotes around it"
            )
        texts = {role: fields[place] for role, place in places.items()}
        rows.append(_row(texts, line, where))
        sides.append(_sides([texts.get(role, "").strip() for role in _BOX], where))
    if not rows:
        raise InputError(f"csv: {path} has a header but no rows")
    boxes = _boxes(sides, [row.line for row in rows], path)
    return [row._replace(box=box) for row, box in zip(rows, boxes)]


def told_unread(path: Path, columns: dict[str, str] | None = None) -> list[str]:
    """Sentences about columns of a table that look like labels or boxes and are not read."""
    header = next(read_csv(path, "csv"), (0, []))[1]
    found = _find(header, columns or {}, path)
    unread = [name for place, name in enumerate(header) if place not in found.values() and name.strip()]
    folded = {name.strip().lower().removeprefix("bbox_").removeprefix("box_"): name for name in unread}
    told = []
    box = next((box for box in _OTHER_BOXES if all(name in folded for name in box)), None)
    if box and "x_min" not in found:
        sides = [folded[name] for name in box]
        unread = [name for name in unread if name not in sides]
        told.append(
            f"csv: {_named(sides)} of {path} {_are(sides)} not read: boxes are in columns x_min, y_min, x_max, y_max,"
            " in pixels, both ends included (x_max is x_min + width - 1)"
        )
    if "label" not in found and unread:
        told.append(
            f"csv: no column of {path} has the labels, and {_named(unread)} {_are(unread)} not read: if one has, rename"
            ' it to label, or give its name in columns, {"label": ...}'
        )
    return told


def _are(names: Sequence[str]) -> str:
    return "are" if len(names) > 1 else "is"


def _named(names: Sequence[str]) -> str:
    return ", ".join(printable(name, _SHOWN) for name in names[:5]) + (", ..." if len(names) > 5 else "")


def _find(header: list[str], given: dict[str, str], path: Path) -> dict[str, int]:
    """What a column holds -> its place in this header."""
    names = [printable(name, _SHOWN) for name in header[:20]]
    present = f"{path} has the columns {', '.join(names)}" if header else f"{path} is empty"
    found: dict[str, str] = {}
    for role, name in given.items():
        if role not in COLUMNS:
            raise InputError(f"columns: {role!r} is not one of {', '.join(COLUMNS)}")
        if name not in header:
            raise InputError(f"columns: no column {name!r} for {role}; {present}")
        found[role] = name
    folded = {name.strip().lower(): name for name in reversed(header)}
    for role, aliases in COLUMNS.items():
        known = [alias for alias in aliases if alias in folded]
        if known:
            found.setdefault(role, folded[known[0]])
    if "file" not in found and len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        raise InputError(f"csv: the fields of {path} are not separated by commas ({names[0]}): save it with commas")
    if "file" not in found:
        raise InputError(
            f"csv: no column has the file names; {present}: rename one to file, or give its name in columns"
        )
    missing = [role for role in _BOX if role not in found]
    if 0 < len(missing) < len(_BOX):
        raise InputError(f"csv: boxes need four columns, and {', '.join(missing)} is missing; {present}")
    for name in found.values():
        if header.count(name) > 1:
            raise InputError(f"csv: {path} has the column {printable(name, _SHOWN)} twice: rename one of them")
    return {role: header.index(name) for role, name in found.items()}


def _row(texts: dict[str, str], line: int, where: str) -> Row:
    file, *others = _ways(texts["file"].strip())
    if not texts["file"].strip():
        raise InputError(f"{where} has no file name")
    if _is_outside(file):
        raise InputError(
            f"{where}: {printable(texts['file'], _SHOWN)!r} is outside the root: give paths relative to it"
        )
    label, split = (texts[role].strip() if role in texts else None for role in ("label", "split"))
    blanks = texts["file"] != texts["file"].strip()
    return Row(line, file, label, split, None, posixpath.normpath(texts["file"]) if blanks else "", tuple(others))


def _ways(text: str) -> list[str]:
    """A path as it is written, then as another system would write it."""
    slashed = [text, text.replace("\\", "/")]
    composed = [unicodedata.normalize(form, way) for form in ("NFC", "NFD") for way in slashed]
    ways = list(dict.fromkeys(posixpath.normpath(way) for way in (*slashed, *composed)))
    return ways[:1] + [way for way in ways[1:] if not _is_outside(way)]


def _is_outside(path: str) -> bool:
    return path == ".." or path.startswith(("/", "../"))


def _sides(texts: list[str], where: str) -> list[float] | None:
    if not any(texts):
        return None
    try:
        sides = [float(text) for text in texts]
    except ValueError:
        sides = [math.nan]
    shown = printable(", ".join(texts), 2 * _SHOWN)
    if not all(map(math.isfinite, sides)):
        raise InputError(f"{where}: the box {shown} is not four numbers")
    if sides[2] < sides[0] or sides[3] < sides[1]:
        raise InputError(f"{where}: the box {shown} ends before it begins (x_min, y_min, x_max, y_max)")
    return sides


def _boxes(sides: Sequence[list[float] | None], lines: Sequence[int], path: Path) -> list[Box | Shares | None]:
    """Boxes, in shares where no side of the table can be one in pixels."""
    within = [one is not None and min(one) >= 0 and max(one) <= 1 for one in sides]
    parts = [one is not None and inside and any(side % 1 for side in one) for one, inside in zip(sides, within)]
    if any(parts):
        pixels = [line for one, inside, line in zip(sides, within, lines) if one is not None and not inside]
        if pixels:
            raise InputError(
                f"csv: line {lines[parts.index(True)]} of {path} has a box with sides from 0 to 1, in shares of the"
                f" picture, and line {pixels[0]} one with others: give all boxes in pixels, or all in shares"
            )
        return [None if one is None else Shares(*one) for one in sides]
    return [None if one is None else Box(*map(math.floor, one)) for one in sides]
