"""Explanations as files for other programs: one per explanation, and a table of them all."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import matplotlib
import numpy as np
from PIL import Image

from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.core.printable import csv_cell, printable
from lit_coiba.files.atomic import atomically, remove_leftovers
from lit_coiba.files.json_text import read_json
from lit_coiba.files.owned import begins, check_own_file, check_own_folder, nobody
from lit_coiba.files.png import KEY, NAME, our_mark
from lit_coiba.files.regular import MEGABYTE, clause, open_regular
from lit_coiba.functional import resize_map
from lit_coiba.store.digest import row_digest
from lit_coiba.store.progress import progress_bar
from lit_coiba.store.records import Row

Format = Literal["npz", "png", "overlay", "fiftyone"]
Draw = Callable[[Row], Image.Image | None]  # None = there is no picture of this row
TABLE = "explanations.csv"  # file, id, label, target, probability, class; there when all files are
SIDE = 224  # pixels, of the longer side of a picture, unless the map is larger

_BEGINNINGS: dict[str, tuple[bytes, ...]] = {"npz": (b"PK", b"\0"), "png": (b"\x89PNG", b"\0")}  # of torn ones
_ROW = "explanation"  # text in a picture: digest of what it shows
_MARK = "export.json"  # which store and format
_ENDINGS = {"overlay": "png", "fiftyone": "png"}  # of files, where that is not the format; these are drawn
_LONGEST = 120  # characters of a part of a file's name
_OUTLIERS = 0.99, 4096  # the share of cells that the brightest color is for, of maps with more cells than this
_COLOURS = "inferno"  # matplotlib's, perceptually uniform, dark for nothing


def export_store(
    rows: Iterable[Row],
    total: int,
    identity: str,
    format: Format,
    output: Path,
    progress: bool = False,
    draw: Draw | None = None,
    names: Sequence[str] = (),
) -> int:
    """Write each row to ``<id>.target<N>.<format>``, folders as in the id; and a table, ``explanations.csv``.

    An ``npz`` has ``map`` at its native grid, ``id``, ``label`` (-1 = none), ``target``, ``probability``, the extras.
    In the table, an id that a spreadsheet would take for a formula begins with an apostrophe.

    A ``png`` has 256 colours: the index is the share of the map's full scale, 0 for what is negative (the scale is the
    maximum; of a map of single pixels the 99th percentile). It is enlarged to `SIDE` pixels bilinearly. An ``overlay``
    is a PNG of what `draw` makes of a row, and so is a picture for ``fiftyone``.

    Existing files are kept where they are of the same row, so an interrupted export continues. One row is in memory at
    a time.

    Args:
        rows: The explanations.
        total: Number of explanations, for the progress bar.
        identity: Digest of the store's identity.
        format: ``npz``, ``png``, ``overlay`` or ``fiftyone``.
        output: Folder for the files.
        progress: Whether to show a progress bar on stderr.
        draw: Draws a row, for the last two formats.
        names: Names of the model's classes, for the table; empty = unknown.

    Returns:
        How many rows have a file.

    Raises:
        InputError: `output` holds the export of something else, or cannot be written.
    """
    check_choice(format, Format, "format")
    if (format in _ENDINGS) != (draw is not None):
        raise InputError(f"format {format} needs the pictures that were explained: give their folder, --images DIR")
    written = 0
    try:
        _claim(output, {"identity": identity, "format": format})
        with progress_bar(f"Exporting {format}", progress) as tell, atomically(output / TABLE) as table:
            table.write(_line("file", "id", "label", "target", "probability", "class"))
            for done, row in enumerate(rows, 1):
                name = file_name(row.id, row.target, _ENDINGS.get(format, format))
                called = csv_cell(names[row.target]) if 0 <= row.target < len(names) else ""
                if _write(output / name, row, format, draw, called):
                    label = "" if row.label < 0 else row.label
                    table.write(_line(name, csv_cell(row.id), label, row.target, row.probability, called))
                    written += 1
                tell(done, total)
    except OSError as error:
        raise InputError(
            f"output {output} cannot be written ({clause(error)}{_of(error, output)}); fix the cause and rerun the "
            "same command: finished files are kept"
        ) from error
    return written


def file_name(sample: str, target: int, format: str) -> str:
    """A relative path for one explanation: the id with its folders, unusual characters as ``%XX``; no two are equal.

    Example:
        >>> file_name("cats/tom & jerry.jpg", 3, "npz")
        'cats/tom%20%26%20jerry.jpg.target3.npz'
        >>> file_name("../../etc/passwd", 0, "png")
        '%2E%2E/%2E%2E/etc/passwd.target0.png'
    """
    *folders, last = [_part(part) for part in sample.split("/")]
    folders = [f"{name[:-4]}%2E{name[-3:]}" if name.endswith((".npz", ".png")) else name for name in folders]
    return "/".join([*folders, f"{last}.target{target}.{format}"])


def _line(*values: Any) -> bytes:
    """One line of a CSV."""
    text = io.StringIO()
    csv.writer(text).writerow(values)
    return text.getvalue().encode()


def _part(text: str) -> str:
    """One part of a path: never empty, never a dot or two, never too long."""
    name = quote(text, safe="", errors="surrogatepass") or "%"
    name = name.replace(".", "%2E") if set(name) == {"."} else name
    if len(name) > _LONGEST:
        return f"{name[: _LONGEST - 20]}%~{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return name


def _claim(output: Path, mark: dict[str, str]) -> None:
    """Refuse a folder with the export of another store or in another format."""
    file = output / _MARK
    check_own_folder(output, "output", lambda folder: (folder / _MARK).is_file())
    check_own_file(output / TABLE, "output", begins("file,id,label,target,"))
    output.mkdir(parents=True, exist_ok=True)
    for folder in (output, *(below for below in output.rglob("*") if below.is_dir() and not below.is_symlink())):
        remove_leftovers(folder)
    with suppress(FileExistsError), atomically(file, exclusive=True) as out:
        out.write(json.dumps(mark).encode())
    try:
        found = read_json(file, Any, _MARK, MEGABYTE)
    except InputError:
        found = None
    if found != mark:
        raise InputError(f"output {output} has the export of another store or format: choose another folder")


def _write(path: Path, row: Row, format: Format, draw: Draw | None, called: str) -> bool:
    """Write the file of a row, unless it is there, whole and of the row as it is now; whether there is one.

    What has its name and is none of ours is left alone.
    """
    shown = hashlib.sha256(row_digest(row) + called.encode()).hexdigest()
    if os.path.lexists(path):
        found = _found(path, row, format, shown)
        if found == "same":
            return True
        if found != "older":
            torn = begins(*_BEGINNINGS[_ENDINGS.get(format, format)])
            check_own_file(path, "output", torn if found == "torn" else nobody)
    picture = draw(row) if draw is not None else _picture(row) if format == "png" else None
    if picture is None and format != "npz":
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomically(path) as file:
        if picture is not None:
            picture.save(file, "PNG", pnginfo=our_mark(**{_ROW: shown}))
        else:
            np.savez_compressed(file, **_arrays(row))
    return True


def _found(path: Path, row: Row, format: Format, shown: str) -> Literal["same", "older", "torn", "foreign"]:
    """What a file is: of this row, of the row as it was once, unreadable as after a power cut, or none of ours.

    Args:
        path: The file.
        row: The row.
        format: Format of the file.
        shown: Digest of what a picture of the row shows.
    """
    try:
        with open_regular(path) as file:
            if format != "npz":
                with Image.open(file, formats=["PNG"]) as picture:
                    palette, marked = picture.palette, picture.info.get(KEY) == NAME
                    same = picture.info.get(_ROW) == shown
                    picture.verify()
                if marked and same:
                    return "same"
                ours = marked or (palette is not None and palette.palette == _palette())  # of version 0.1.0
                return "older" if ours else "foreign"
            with np.load(file, allow_pickle=False) as found:
                if (str(found["id"]), int(found["target"])) != (row.id.rstrip("\0"), row.target):  # NumPy drops these
                    return "foreign"
                arrays = {name: np.asarray(value) for name, value in _arrays(row).items() if name != "id"}
                same = found.files == ["id", *arrays] and all(_equal(found[name], arrays[name]) for name in arrays)
                return "same" if same else "older"
    except Exception:  # Pillow, zipfile and NumPy raise anything for what is torn
        return "torn"


def _equal(first: np.ndarray, second: np.ndarray) -> bool:
    return first.dtype == second.dtype and np.array_equal(first, second, equal_nan=first.dtype.kind == "f")


def _of(error: OSError, output: Path) -> str:
    """The file that an error is about, below the folder."""
    name = os.path.relpath(error.filename, output) if isinstance(error.filename, str) else "."
    return "" if name == "." else f": {printable(name, 100)}"


def _arrays(row: Row) -> dict[str, Any]:
    fixed = {"id": row.id, "label": row.label, "target": row.target, "probability": np.float32(row.probability)}
    return {**fixed, "map": row.map.numpy(), **{name: extra.numpy() for name, extra in row.extras.items()}}


def _picture(row: Row) -> Image.Image:
    """The map in colors, its indices shares of the full scale."""
    values = row.map.double().nan_to_num(0.0, 0.0, 0.0).clamp_min(0)
    scale = values.max().item() if values.numel() else 0.0
    share, cells = _OUTLIERS
    if values.numel() > cells:
        scale = values.flatten().kthvalue(int(share * values.numel())).values.item() or scale
    height, width = values.shape
    factor = max(1.0, SIDE / max(height, width))
    shares = resize_map((values / (scale or 1.0)).clamp_max(1.0)[None], (round(height * factor), round(width * factor)))
    picture = Image.fromarray((shares[0] * 255).round().byte().numpy())
    picture.putpalette(_palette())
    return picture


@lru_cache(maxsize=1)
def _palette() -> bytes:
    return (matplotlib.colormaps[_COLOURS](np.arange(256), bytes=True)[:, :3]).tobytes()
