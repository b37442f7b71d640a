"""A target bound to one batch: plain tensors, with a row for each explanation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import a_kind


@dataclass(frozen=True, eq=False)
class Resolved(ABC):
    """What is explained of each image of a batch; an image has 0, 1 or more rows, R in all.

    What had to be chosen (the predicted class, say) was chosen on the clean output and stays: perturbed images never
    choose again. `score`, `fidelity` and `linear` take an output with one entry per row, so whoever makes copies of
    images takes copies of rows along, by `take` or `repeat`.
    """

    image: Tensor  # (R,) int64: image of each row
    index: Tensor  # (R,) int64: class, output or reference of each row
    against: Tensor  # (R,) int64: what it is set against, -1 = nothing
    name: tuple[str, ...]  # R names for people; empty where unknown
    clean: Tensor  # (R,) score on the clean output; NaN where that has not been run
    reasons: Mapping[int, str] = field(default_factory=dict)  # image -> why it has no row

    @property
    def differentiable(self) -> bool:
        """Whether `score` has gradients; methods that need them refuse a target without."""
        return True

    @abstractmethod
    def score(self, out: Any) -> Tensor:
        """Score of each row, ``(R,)``, fp32 at least; larger = more of what is explained.

        Args:
            out: The model's output with one entry per row, such as logits ``(R, K)``.
        """

    @abstractmethod
    def fidelity(self, out: Any) -> Tensor:
        """Loss of each row in nats, ``(R,)``: how badly what is explained survives in `out`."""

    @abstractmethod
    def linear(self) -> tuple[Tensor, Tensor]:
        """``C (R, m, n)`` and ``d (R, m)``: where a row of ``C out + d`` is above 0, the target is overturned.

        Raises:
            InputError: The target is not linear in the output.
        """

    def scored_by(self, output: str, asked: bool = True) -> Resolved:
        """This, with the `output` that a method or a metric scores classes by; other kinds have their own score.

        Args:
            output: Such as ``logit`` or ``prob``.
            asked: Whether the user set it; a default gives way to the target's own.
        """
        return self

    def classes(self, asker: str) -> Tensor:
        """Class of each row, ``(R,)``, for what explains classes and nothing else.

        Args:
            asker: Its name.

        Raises:
            InputError: What is explained is no class.
        """
        raise InputError(f"{asker} explains classes, and the target is {a_kind(self)}: give a class")

    def take(self, rows: Tensor | slice) -> Resolved:
        """Some rows, in the order of `rows`; a row may be taken several times."""
        index = torch.arange(len(self), device=self.index.device)[rows]
        changes: dict[str, Any] = {
            part.name: value[index]
            for part in fields(self)
            if isinstance(value := getattr(self, part.name), Tensor) and value.dim() and len(value) == len(self)
        }
        if any(self.name):
            changes["name"] = tuple(self.name[i] for i in index.tolist())
        else:
            changes["name"] = ("",) * len(index)
        return replace(self, **changes)

    def recounted(self) -> Resolved:
        """The same rows, each of an image of its own, counted from 0."""
        return replace(self, image=torch.arange(len(self), device=self.index.device), reasons={})

    def repeat(self, copies: int) -> Resolved:
        """Every row `copies` times, copy-major: row ``n * R + r``, as the copies of images lie in a batch."""
        return self.take(torch.arange(len(self), device=self.index.device).repeat(copies))

    def to(self, device: torch.device) -> Resolved:
        """The same on a device, a copy: autograd may keep it, also where this was made in inference mode."""
        values = {part.name: getattr(self, part.name) for part in fields(self)}
        moved: dict[str, Any] = {name: v.to(device, copy=True) for name, v in values.items() if isinstance(v, Tensor)}
        return replace(self, **moved)

    def __len__(self) -> int:
        return len(self.index)
