"""MATLAB files of a dataset's release; reading one runs nothing that is in it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.data.files.mat_reader import read_variables
from lit_coiba.files.regular import MEGABYTE, clause, read_bytes

_MOST = 64 * MEGABYTE


def read_mat(path: Path, names: Iterable[str]) -> list[list[Any]]:
    """Variables of a MATLAB file, a list each: of numbers, of texts, or of structs as dictionaries.

    Raises:
        InputError: The file cannot be read, or lacks one of them.
    """
    wanted = list(names)
    try:
        content = read_variables(read_bytes(path, _MOST), wanted)
    except (OSError, ValueError) as error:
        reason = clause(error) if isinstance(error, OSError) else printable(error, 200)
        raise InputError(f"root: cannot read {path} as a MATLAB file: {reason}") from error
    missing = [name for name in wanted if name not in content]
    if missing:
        raise InputError(f"root: {path} has no variable {', '.join(missing)}: it is not the file that its name says")
    return [content[name] if isinstance(content[name], list) else [content[name]] for name in wanted]


def whole(value: Any, where: str) -> int:
    """A number from a MATLAB file, where it is a whole one, whatever its type.

    Raises:
        InputError: It is not.
    """
    try:
        if int(value) == value:
            return int(value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise InputError(f"root: {where} is {printable(value, 60)}, but must be a whole number")


def text(value: Any, where: str) -> str:
    """A text from a MATLAB file.

    Raises:
        InputError: It is none.
    """
    if not isinstance(value, str):
        raise InputError(f"root: {where} is {printable(value, 60)}, but must be a text")
    return value


def read_structs(path: Path, name: str, fields: Iterable[str]) -> list[tuple[Any, ...]]:
    """The fields of a MATLAB struct array, a tuple per element.

    Raises:
        InputError: As `read_mat`, or the variable lacks one of the fields.
    """
    (found,) = read_mat(path, [name])
    wanted = list(fields)
    records: list[dict[str, Any]] = [record if isinstance(record, dict) else {} for record in found]
    missing = [field for field in wanted if not all(field in record for record in records)]
    if missing:
        raise InputError(f"root: {name} in {path} has no field {', '.join(missing)}")
    return [tuple(record[field] for field in wanted) for record in records]
