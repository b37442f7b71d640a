"""Which of several sets of weights in a file is meant: an average beside the last step, a teacher beside a student.

Each set is a mapping in the file, or the part of one under a prefix. The one that fits the model is taken; where
several fit equally well, nobody can know, and the caller has to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable

Weights = dict[str, Tensor]

NOT_WEIGHTS = ("optim", "sched", "scaler", "loops", "callbacks", "hyper_parameters", "amp", "rng", "args", "config")
_DEEP = 3  # mappings in one another
_COUNTERS = "num_batches_tracked"  # which an average may lack
_SHOWN = 4


class Candidate(NamedTuple):
    """One set of weights."""

    key: str  # of the mapping in the file, and the prefix in it; empty = the whole file
    weights: Weights

    def fit(self, own: Weights) -> tuple[int, int]:
        """How many of the model's names it has, first those of equal shape."""
        names = [name for name in own if name in self.weights and not name.endswith(_COUNTERS)]
        return sum(self.weights[name].shape == own[name].shape for name in names), len(names)

    def equals(self, other: Candidate) -> bool:
        """Whether it holds the same numbers."""
        if self.weights.keys() != other.weights.keys():
            return False
        pairs = ((tensor, other.weights[name]) for name, tensor in self.weights.items())
        return all(one is two or (one.layout == two.layout and _same(one, two)) for one, two in pairs)


def containers(content: Any) -> list[Candidate]:
    """Every mapping in a file that has tensors, the outermost first; optimizers and the like are none."""
    return list(_containers(content, "", _DEEP))


def parts(container: Candidate, own: Weights) -> list[Candidate]:
    """The parts of a container whose names are those of the model but for a prefix; itself where there are none."""
    prefixes: Counter[str] = Counter()
    for name in container.weights:
        pieces = name.split(".")
        for i in range(len(pieces)):
            if ".".join(pieces[i:]) in own:
                prefixes[".".join([*pieces[:i], ""])] += 1
    if not prefixes:
        return [container]
    most = max(prefixes.values())
    found = []
    for prefix in sorted(prefixes, key=lambda p: (-prefixes[p], len(p))):
        if prefixes[prefix] * 2 < most:  # the rest are layers that happen to have such names
            break
        inside = {name[len(prefix) :]: t for name, t in container.weights.items() if name.startswith(prefix)}
        key = ".".join(part for part in (container.key, prefix.rstrip(".")) if part)
        found.append(Candidate(key, inside))
    return found


def chosen(candidates: list[Candidate], own: Weights, file: str, remedy: str) -> Candidate:
    """The candidate that fits the model best.

    Args:
        candidates: At least one.
        own: The model's weights.
        file: The file, for messages.
        remedy: How to choose, for messages.

    Raises:
        InputError: Several fit equally well, and are not the same.
    """
    ranked = sorted(candidates, key=lambda one: one.fit(own), reverse=True)
    best = ranked[0]
    score = best.fit(own)
    equal = [one for one in ranked[1:] if score[1] and one.fit(own) == score and not one.equals(best)]
    if equal:
        keys = [printable(one.key or "the file itself", 60) for one in [best, *equal][:_SHOWN]]
        raise InputError(
            f"{file} has several sets of weights that fit this model equally well, {' and '.join(keys)}: {remedy}"
            f" {keys[0]} or another of them"
        )
    return best


def named(candidates: list[Candidate], key: str, file: str) -> list[Candidate]:
    """The candidates at a key that the caller has chosen, or below it.

    Raises:
        InputError: There are none.
    """
    found = [one for one in candidates if one.key == key] or [
        one for one in candidates if one.key.startswith(f"{key}.")
    ]
    if not found:
        keys = ", ".join(printable(one.key or "the file itself", 60) for one in candidates[:_SHOWN])
        raise InputError(f"{file} has no weights under {printable(key, 60)!r}; it has them under {keys}")
    return found


def _containers(value: Any, key: str, depth: int) -> Iterator[Candidate]:
    if not isinstance(value, Mapping) or depth < 0:
        return
    tensors = {str(name): tensor for name, tensor in value.items() if isinstance(tensor, Tensor)}
    if tensors:
        yield Candidate(key, tensors)
    for name, below in value.items():
        if isinstance(below, Mapping) and not any(word in str(name).lower() for word in NOT_WEIGHTS):
            yield from _containers(below, f"{key}.{name}".lstrip("."), depth - 1)


def _same(one: Tensor, two: Tensor) -> bool:
    if one.layout != torch.strided or one.is_quantized or one.is_meta or two.is_meta or two.is_quantized:
        return False
    return one.dtype == two.dtype and torch.equal(one, two)
