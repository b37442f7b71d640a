"""What a file may say of arguments: plain values, nothing that names a class, a key or the environment."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import described, printable

DEPTH, VALUES, TEXT = 32, 20_000, 100_000  # of what a file says: nesting, all values together, characters of one


def is_plain(value: Any) -> bool:
    """Whether a value is what YAML writes, and asks neither for a class nor for another key or the environment.

    What refers to itself, and what is larger than any description of a network, is not plain.

    Example:
        >>> is_plain({"depth": [1, 2]}), is_plain({"class_path": "os.system"}), is_plain("${oc.env:HOME}")
        (True, False, False)
    """
    values = 0
    stack = [(value, 0)]
    while stack:
        part, depth = stack.pop()
        values += 1
        if values > VALUES or depth > DEPTH:
            return False
        if isinstance(part, Mapping):
            if not all(type(k) is str and k not in ("class_path", "init_args") and "${" not in k for k in part):
                return False
            stack.extend((below, depth + 1) for below in part.values())
        elif type(part) in (list, tuple):
            stack.extend((below, depth + 1) for below in part)
        elif not _is_leaf(part):
            return False
    return True


def plain_arguments(told: Mapping[str, Any], names: Collection[str], key: str, file: str) -> dict[str, Any]:
    """What `file` says below `key`: arguments called `names`, with plain values, as dictionaries and lists.

    Raises:
        InputError: Another name, or another value.
    """
    for name, value in told.items():
        if not isinstance(name, str) or name not in names:
            raise refused(file, key, name)
        if not is_plain(value):
            raise refused(file, f"{key}.{name}", value)
    return {name: _builtin(value) for name, value in told.items()}


def _is_leaf(value: Any) -> bool:
    if type(value) is float:
        return math.isfinite(value)
    if type(value) is int:
        return abs(value) < 2**63
    if type(value) is str:
        return "${" not in value and len(value) <= TEXT
    return value is None or type(value) is bool


def _builtin(value: Any) -> Any:
    """A plain value without the classes that mappings may have."""
    if isinstance(value, Mapping):
        return {name: _builtin(part) for name, part in value.items()}
    return [_builtin(part) for part in value] if isinstance(value, list) else value


def refused(file: str, key: str, value: Any) -> InputError:
    """The error of a file that says of its network what no file of ours says."""
    return InputError(
        f"{printable(file, 200)} has {printable(key, 80)} {described(value)}, which lit-coiba fit never writes: the"
        " file was refused, and none of its code was run; give the model's arguments and --model.backbone.checkpoint"
        " with weights that you trust instead"
    )
