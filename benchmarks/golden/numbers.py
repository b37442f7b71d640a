"""From results to entries: names, digests, what is left out."""

from __future__ import annotations

import hashlib
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import torch
from lightning import seed_everything
from torch import Tensor

from benchmarks.golden.api import InputError

Entry = dict[str, Any]
Case = tuple[str, Callable[[], Any]]  # name, and what computes all that is below it

SHOWN = 4  # values that an entry tells beside its digest


def recorded(cases: Iterable[Case], only: str) -> dict[str, Entry]:
    """Run the cases that `only` allows, each with the same seed.

    What the package refuses becomes ``{"refused": class}``, what fails otherwise ``{"failed": class}``, told on stderr.
    """
    found: dict[str, Entry] = {}
    for name, compute in cases:
        if not fits(name, only):
            continue
        seed_everything(0, verbose=False)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                entries = {key: entry_of(value) for key, value in flat(name, compute())}
        except InputError as error:
            entries = {name: {"refused": type(error).__name__}}
        except Exception as error:  # the others shall be computed all the same
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
            entries = {name: {"failed": type(error).__name__}}
        if twice := entries.keys() & found.keys():
            raise ValueError(f"{sorted(twice)[0]} is computed twice")
        found |= {key: entry for key, entry in entries.items() if fits(key, only)}
    return found


def fits(name: str, only: str) -> bool:
    """Whether each part of a name fits the part of the pattern in its place; the shorter of them ends this.

    Example:
        >>> fits("method/vit/CoIBA/default/maps", "method/*/CoIBA"), fits("method", "*/vit"), fits("head/EPIC", "run")
        (True, True, False)
    """
    return all(fnmatchcase(part, pattern) for part, pattern in zip(name.split("/"), only.split("/")))


def flat(name: str, value: Any) -> Iterator[tuple[str, Tensor | str]]:
    """Numbers and texts in nested results, with names; what is None is left out."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from flat(f"{name}/{key}", part)
    elif isinstance(value, str):
        yield name, value
    elif isinstance(value, Tensor):
        yield name, value.detach()
    elif isinstance(value, np.ndarray):
        yield name, torch.from_numpy(value)
    elif isinstance(value, (list, tuple)) and any(isinstance(part, (Tensor, Mapping, str, tuple)) for part in value):
        yield from flat(name, dict(enumerate(value)))
    elif value is not None:
        numbers = np.array(value)
        yield name, torch.from_numpy(numbers.reshape(numbers.shape))


def entry_of(value: Tensor | str) -> Entry:
    """What is kept of a result."""
    if isinstance(value, str):
        return {"sha256": hashlib.sha256(value.encode()).hexdigest(), "text": value[:80]}
    array = np.ascontiguousarray(value.cpu().numpy())
    header = f"{array.dtype.str} {tuple(value.shape)} "
    summary = value.double().flatten()
    return {
        "sha256": hashlib.sha256(header.encode() + array.tobytes()).hexdigest(),
        "shape": list(value.shape),
        "dtype": str(array.dtype),
        "mean": summary.mean().item(),
        "absmax": summary.abs().max().item() if len(summary) else 0.0,
        "first": summary[:SHOWN].tolist(),
    }
