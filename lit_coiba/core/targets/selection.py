"""Which tensor of a model's output is meant: models return tensors, tuples, mappings and dataclasses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor

from lit_coiba.core.errors import InputError

OutputPath = str | int | tuple[str | int, ...] | None  # keys and indices; None = the only tensor there is


def select_output(out: Any, path: OutputPath = None) -> Tensor:
    """The floating-point tensor at `path` of what a model returned.

    Args:
        out: A tensor, or tuples, lists, mappings and dataclasses with tensors in them.
        path: Keys and indices that lead to the tensor. None: a tensor itself, or the only one of the structure with
            floating-point numbers.

    Raises:
        InputError: The path leads to no such tensor, or without a path there are several.

    Example:
        >>> import torch
        >>> select_output({"logits": torch.zeros(2, 3), "size": torch.tensor([4, 4])}).shape
        torch.Size([2, 3])
    """
    if path is None:
        if isinstance(out, Tensor):
            return out
        found = dict(_tensors(out))
        if len(found) == 1:
            return next(iter(found.values()))
        raise InputError(f"the model returns {_listed(found)}: set the target's output to one of them")
    value = out
    for step in path if isinstance(path, tuple) else (path,):
        value = _below(value, step)
    if not isinstance(value, Tensor) or not value.is_floating_point() or not value.dim():
        raise InputError(
            f"output {path!r} does not select a tensor of numbers: the model returns {_listed(dict(_tensors(out)))}"
        )
    return value


def _below(value: Any, step: str | int) -> Any:
    """What lies one key or index further down; None where there is nothing."""
    if isinstance(value, Mapping):
        return value.get(step)
    if isinstance(step, int):
        return value[step] if isinstance(value, Sequence) and -len(value) <= step < len(value) else None
    return getattr(value, step, None) if is_dataclass(value) or hasattr(value, "_fields") else None


def _tensors(out: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Tensor]]:
    """Floating-point tensors with a batch axis, and the paths to them."""
    if isinstance(out, Tensor):
        if out.is_floating_point() and out.dim():
            yield path, out
        return
    parts: Any = ()
    if isinstance(out, Mapping):
        parts = out.items()
    elif is_dataclass(out) and not isinstance(out, type):
        parts = ((part.name, getattr(out, part.name)) for part in fields(out))
    elif isinstance(out, list | tuple):
        parts = enumerate(out)
    for step, part in parts:
        yield from _tensors(part, (*path, step))


def _listed(found: Mapping[tuple[str | int, ...], Tensor]) -> str:
    if not found:
        return "no tensor of numbers"
    return ", ".join(
        f"{path[0] if len(path) == 1 else path!r} {tuple(tensor.shape)} {tensor.dtype}"
        for path, tensor in found.items()
    )
