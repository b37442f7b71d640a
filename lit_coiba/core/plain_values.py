"""What a file may say of arguments: plain values, nothing that names a class, a key or the environment."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from lit_coiba.core.errors import InputError


def is_plain(value: Any) -> bool:
    """Whether a value is what YAML writes, and asks neither for a class nor for another key or the environment.

    Example:
        >>> is_plain({"depth": [1, 2]}), is_plain({"class_path": "os.system"}), is_plain("${oc.env:HOME}")
        (True, False, False)
    """
    if isinstance(value, Mapping):
        return all(
            isinstance(k, str) and k not in ("class_path", "init_args") and is_plain(v) for k, v in value.items()
        )
    if type(value) in (list, tuple):
        return all(map(is_plain, value))
    return value is None or type(value) in (bool, int, float) or (type(value) is str and "${" not in value)


def plain_arguments(told: Mapping[str, Any], names: Collection[str], key: str, file: str) -> dict[str, Any]:
    """What `file` says below `key`: arguments called `names`, with plain values.

    Raises:
        InputError: Another name, or another value.
    """
    for name, value in told.items():
        if name not in names:
            raise refused(file, key, name)
        if not is_plain(value):
            raise refused(file, f"{key}.{name}", value)
    return dict(told)


def refused(file: str, key: str, value: Any) -> InputError:
    """The error of a file that says of its network what no file of ours says."""
    return InputError(
        f"{file} has {key} {str(value)[:80]!r}, which lit-coiba fit never writes: the file was refused, and none of its"
        " code was run; give the model's arguments and --model.backbone.checkpoint with weights that you trust instead"
    )
