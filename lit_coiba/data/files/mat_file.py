"""MATLAB files of a dataset's release; reading one runs nothing that is in it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_coiba.core.errors import InputError


def read_mat(path: Path, names: Iterable[str]) -> list[NDArray[Any]]:
    """Variables of a MATLAB file as arrays ``(N,)``: of numbers, of str, or with named fields.

    Raises:
        InputError: The file cannot be read, or lacks one of them.
    """
    from scipy.io import loadmat  # costs a quarter of a second, and most data have no such files

    wanted = list(names)
    try:
        content = loadmat(path, squeeze_me=True, variable_names=wanted)
    except Exception as error:  # whatever a parser of binary files raises on a damaged one
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"root: cannot read {path} as a MATLAB file: {reason}") from error
    missing = [name for name in wanted if name not in content]
    if missing:
        raise InputError(f"root: {path} has no variable {', '.join(missing)}: it is not the file that its name says")
    return [np.atleast_1d(content[name]) for name in wanted]


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
    raise InputError(f"root: {where} is {value}, but must be a whole number")


def read_structs(path: Path, name: str, fields: Iterable[str]) -> list[tuple[Any, ...]]:
    """The fields of a MATLAB struct array, a tuple per element.

    Raises:
        InputError: As `read_mat`, or the variable lacks one of the fields.
    """
    (array,) = read_mat(path, [name])
    wanted = list(fields)
    missing = [field for field in wanted if field not in (array.dtype.names or ())]
    if missing:
        raise InputError(f"root: {name} in {path} has no field {', '.join(missing)}")
    return list(zip(*(array[field].tolist() for field in wanted)))
