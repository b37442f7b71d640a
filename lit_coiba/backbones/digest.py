"""Which network it is, as a number: the same on every machine."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn

_KNOWN: dict[int, dict[bool, str]] = {}  # id of a model that is `unchanging` -> its digests so far


@contextmanager
def unchanging(model: nn.Module) -> Iterator[None]:
    """Within this nobody changes the model, so its digest is computed once; copies of it may be changed."""
    outermost = id(model) not in _KNOWN
    _KNOWN.setdefault(id(model), {})
    try:
        yield
    finally:
        if outermost:
            del _KNOWN[id(model)]


def once_while_unchanging(digest: Callable[[Any, bool], str]) -> Callable[..., str]:
    """A method `digest` of a model that remembers what it found while the model is `unchanging`."""

    @wraps(digest)
    def remembered(model: Any, head: bool = True) -> str:
        known = _KNOWN.get(id(model), {})
        if head not in known:
            known[head] = digest(model, head)
        return known[head]

    return remembered


def digest_of(architecture: Any, weights: Mapping[str, Tensor], without: str = "") -> str:
    """SHA-256 of an architecture, as plain values, and of every weight's name, dtype, shape and bytes.

    Args:
        architecture: Plain values.
        weights: Names and tensors.
        without: Beginning of the names that do not count; empty = all do.
    """
    digest = hashlib.sha256(json.dumps(architecture, sort_keys=True, default=str).encode())
    for name, tensor in sorted(weights.items()):
        if without and name.startswith(without):
            continue
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def architecture_of(title: str, structure: Any, size: tuple[int, int], options: Mapping[str, Any]) -> list[Any]:
    """What is hashed of an architecture, as plain values.

    Args:
        title: Name of the model.
        structure: Arguments of a timm model, or the modules of a wrapped one as they print themselves.
        size: Height and width of its images in pixels.
        options: Further arguments; those that are off leave the digest as it was before there were any.
    """
    return [title, structure, size, *({name: value} for name, value in options.items() if value)]


def network_digest(
    architecture: list[Any], model: nn.Module, head: nn.Module | None, place: str, with_head: bool
) -> str:
    """SHA-256 of a classifier.

    Args:
        architecture: What is hashed of its architecture.
        model: Its modules.
        head: The head that is in place of the classifier of `model`; None = the model's own.
        place: Beginning of the names of the head's weights.
        with_head: Whether the head counts.
    """
    weights = {name: tensor for name, tensor in model.state_dict().items() if with_head or not name.startswith(place)}
    return digest_of([*architecture, printed(head)] if with_head and head is not None else architecture, weights)


def printed(model: nn.Module) -> str:
    """The modules of a model as they print themselves, without addresses in memory, which no two processes share."""
    return re.sub(r"0x[0-9a-f]+", "", repr(model))
