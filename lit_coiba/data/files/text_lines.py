"""Text files of a dataset's release: one record a line, its fields separated by blanks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.files.regular import read_text

Form = Mapping[str, Callable[[str], Any]]  # name of a field -> what makes its value of the text


def number(text: str) -> float:
    """A finite number.

    Raises:
        ValueError: It is none.
    """
    value = float(text)
    if not math.isfinite(value) or "_" in text:  # which Python takes for a separator of digits
        raise ValueError(text)
    return value


def flag(text: str) -> bool:
    """1 or 0.

    Raises:
        ValueError: It is neither.
    """
    if text not in ("0", "1"):
        raise ValueError(text)
    return text == "1"


def read_lines(path: Path, form: Form) -> dict[int, tuple[Any, ...]]:
    """The records of a file by line number, from 1; empty lines and those that begin with ``#`` are left out.

    Args:
        path: The file, UTF-8.
        form: The fields of a line, in order; the last one may hold blanks.

    Raises:
        InputError: The file cannot be read or has no record, or a line has another form; the message names it.
    """
    text = read_text(path, "root")
    makers = list(form.values())
    records: dict[int, tuple[Any, ...]] = {}
    for line, content in enumerate(text.split("\n"), start=1):
        fields = content.strip().split(None, len(makers) - 1)
        if not fields or fields[0].startswith("#"):
            continue
        try:
            records[line] = tuple([make(field) for make, field in zip(makers, fields, strict=True)])
        except ValueError:
            given = printable(content.strip(), 100)
            raise InputError(f"root: line {line} of {path} is {given!r}, but must be: {' '.join(form)}") from None
    if not records:
        raise InputError(f"root: {path} is empty; it should have lines of: {' '.join(form)}")
    return records


def read_keyed(path: Path, form: Form) -> dict[Any, tuple[Any, ...]]:
    """The records of a file by their first field, each without it.

    Raises:
        InputError: As `read_lines`, or two lines have the same first field.
    """
    keyed: dict[Any, tuple[Any, ...]] = {}
    for line, (key, *rest) in read_lines(path, form).items():
        if key in keyed:
            raise InputError(
                f"root: line {line} of {path} has {next(iter(form))} {printable(key, 100)}, like an earlier line"
            )
        keyed[key] = tuple(rest)
    return keyed
