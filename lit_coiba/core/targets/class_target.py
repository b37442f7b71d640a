"""The class of a softmax classifier as what is explained."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from lit_coiba.core.behavior import refuse_one_logit
from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.core.printable import listed, printable
from lit_coiba.core.targets.resolved import Resolved
from lit_coiba.core.targets.selection import OutputPath, select_output
from lit_coiba.core.targets.target import Target
from lit_coiba.functional import precise

Score = Literal["logit", "prob", "logprob", "rest"]

REFERENCES = ("predicted", "label", "runner_up")
NO_LABEL, OUTSIDE = "it has no label", "is outside the model's range"  # in reasons of images without a row
_TOP = re.compile(r"top-?(\d+)")
_LONGEST = 80  # characters of a name in a sentence
_REMEDY = "check the weights and the normalization"


@dataclass(frozen=True)
class Class(Target):
    """One class of each image, or the n most probable ones.

    Args:
        cls: ``predicted``, ``runner_up``, ``label``, ``top3`` (any number), the number of a class, or its name.
        score: ``logit``; ``prob``, the softmax probability; ``logprob``; ``rest``, logit and log probability together
            (ShapleyCAM's residual softmax). None: what the method or the metric uses, as its `output` says.
        output: Path to the logits where the model returns more than one tensor; see `select_output`.

    Raises:
        InputError: The score does not exist, or the class is ``top0``.

    Example:
        >>> Class("top2").resolve(torch.tensor([[0.0, 2.0, 1.0]])).index
        tensor([1, 2])
    """

    kind: ClassVar[str] = "class"

    cls: str | int = "predicted"
    score: Score | None = None
    output: OutputPath = None

    def __post_init__(self) -> None:
        if self.score is not None:
            check_choice(self.score, Score, "score")
        if self.ranks == 0:
            raise InputError(f"targets: {self.cls} selects no class: give top1 or more")

    @property
    def ranks(self) -> int | None:
        """How many most probable classes are asked for; None where it is not that."""
        found = _TOP.fullmatch(self.cls) if isinstance(self.cls, str) else None
        return int(found[1]) if found else None

    def identity(self) -> Any:
        """The short text of version 0.1.0 where it says all there is to say."""
        if self.score is None and self.output is None and (isinstance(self.cls, int) or self._short):
            return f"top{self.ranks}" if self.ranks is not None else str(self.cls)
        return super().identity()

    def resolve(self, out: Any, labels: Tensor | None = None, names: Sequence[str] = ()) -> ResolvedClass:
        """See `Target.resolve`; images without a label, or whose logits are not finite, have no row."""
        logits = precise(select_output(out, self.output))
        if logits.dim() != 2:
            raise InputError(
                f"the model returns {tuple(logits.shape)} for {len(logits)} images, and a class target needs (B, K) "
                "logits: set the target's output to the logits"
            )
        count = logits.shape[1]
        chosen = self._chosen(logits, labels, names)
        reasons = {
            i: f"the model's output is not finite: {_REMEDY}"
            for i in (~logits.isfinite().all(1)).nonzero().flatten().tolist()
        }
        for i, label in enumerate(chosen[:, 0].tolist()):
            if not 0 <= label < count:
                reasons.setdefault(i, NO_LABEL if label < 0 else outside(label, count))
        kept = torch.tensor([i for i in range(len(logits)) if i not in reasons], dtype=torch.int64).to(logits.device)
        index = chosen[kept].flatten()
        image = kept.repeat_interleave(chosen.shape[1])
        resolved = class_rows(index, count, image, names, score=self.score, output=self.output, reasons=reasons)
        return replace(resolved, clean=resolved.values(logits[image]).detach())

    @property
    def uses_names(self) -> bool:
        """Whether the class is given by its name."""
        return isinstance(self.cls, str) and not self._short

    @property
    def uses_labels(self) -> bool:
        """Whether the class is the image's label."""
        return self.cls == "label"

    def check(self, num_classes: int, names: Sequence[str] | None = None) -> None:
        """See `Target.check`.

        Raises:
            InputError: A class, a name or a number of ranks outside the model's.
        """
        if self.ranks is not None and self.ranks > num_classes:
            raise InputError(f"targets: {self.cls} asks for {self.ranks} classes, but the model has {num_classes}")
        if isinstance(self.cls, int) and not 0 <= self.cls < num_classes:
            raise InputError(f"targets: {outside(self.cls, num_classes)}")
        if isinstance(self.cls, str) and self.uses_names and names is not None:
            _named(self.cls, names)

    @property
    def _short(self) -> bool:
        return self.cls in REFERENCES or self.ranks is not None

    def _chosen(self, logits: Tensor, labels: Tensor | None, names: Sequence[str]) -> Tensor:
        """Classes of each image ``(B, ranks)``; below 0 where an image has no label."""
        self.check(logits.shape[1], names)
        if self.cls == "predicted":
            return logits.argmax(-1, keepdim=True)
        if self.cls == "runner_up":
            return logits.topk(2, -1).indices[:, 1:]
        if self.ranks is not None:
            return logits.topk(self.ranks, -1).indices
        if self.cls == "label":
            given = torch.full((len(logits),), -1) if labels is None else labels
            return given.to(logits.device, torch.int64).unsqueeze(1)
        one = self.cls if isinstance(self.cls, int) else _named(self.cls, names)
        return torch.full((len(logits), 1), one, device=logits.device)


@dataclass(frozen=True, eq=False)
class ResolvedClass(Resolved):
    """A class per row."""

    num_classes: int = 0
    scored: Score | None = None  # None: whoever asks has not said yet; the logit
    output: OutputPath = None

    def score(self, out: Any) -> Tensor:
        """The class's logit or what `scored` says, ``(R,)``."""
        return self.values(select_output(out, self.output))

    def values(self, logits: Tensor) -> Tensor:
        """`score` of logits ``(R, K)``."""
        values = precise(logits)
        if self.scored in ("prob", "logprob", "rest"):
            refuse_one_logit(
                values.shape[-1], f"the score {self.scored}, of a softmax, says nothing: its probability is"
            )
        if self.scored == "prob":
            values = values.softmax(-1)
        elif self.scored == "logprob":
            values = values.log_softmax(-1)
        elif self.scored == "rest":
            values = values + values.log_softmax(-1)
        return values.gather(-1, self.index.unsqueeze(-1)).squeeze(-1)

    def fidelity(self, out: Any) -> Tensor:
        """Cross-entropy of the class in nats, ``(R,)``, whatever `scored` is."""
        logits = precise(select_output(out, self.output))
        refuse_one_logit(logits.shape[-1], "there is no cross-entropy to fit: the probability is")
        log_probabilities = logits.log_softmax(-1)
        return -log_probabilities.gather(-1, self.index.unsqueeze(-1)).squeeze(-1)

    def linear(self) -> tuple[Tensor, Tensor]:
        """A row ``e_j - e_c`` for each class j other than c, ``(R, K - 1, K)``, and zeros."""
        refuse_one_logit(self.num_classes, "no other class can overturn it: its probability is")
        unit = torch.eye(self.num_classes, device=self.index.device)
        numbers = torch.arange(self.num_classes - 1, device=self.index.device).expand(len(self), -1)
        rows = unit[numbers + (numbers >= self.index.unsqueeze(1))] - unit[self.index].unsqueeze(1)
        return rows, rows.new_zeros(rows.shape[:2])

    def classes(self, asker: str) -> Tensor:
        """Class of each row, ``(R,)``."""
        return self.index

    def scored_by(self, output: str, asked: bool = True) -> ResolvedClass:
        """This, scored as a method or a metric does; see `Resolved.scored_by`.

        Raises:
            InputError: The target has a score of its own, and the user asked for another one.
        """
        if self.scored is None:
            return replace(self, scored=check_choice(output, Score, "output"))
        if asked and output != self.scored:
            raise InputError(
                f"the target's score is {self.scored} and output is {output}: give one of them, or the same to both"
            )
        return self


def class_rows(
    index: Tensor,
    num_classes: int,
    image: Tensor | None = None,
    names: Sequence[str] = (),
    *,
    score: Score | None = None,
    output: OutputPath = None,
    reasons: dict[int, str] | None = None,
) -> ResolvedClass:
    """Rows for classes `index` ``(R,)``, which are known to be right.

    Args:
        index: Classes.
        num_classes: K.
        image: Image of each row; None = one row for each image, in order.
        names: Class names in index order.
        score: See `Class`.
        output: See `Class`.
        reasons: Image -> why it has no row.
    """
    known = len(names) == num_classes
    return ResolvedClass(
        image=torch.arange(len(index), device=index.device) if image is None else image,
        index=index,
        against=torch.full_like(index, -1),
        name=tuple(names[i] for i in index.tolist()) if known else ("",) * len(index),
        clean=torch.full(index.shape, torch.nan, device=index.device),
        reasons=reasons or {},
        num_classes=num_classes,
        scored=score,
        output=output,
    )


def outside(label: int, num_classes: int) -> str:
    """What is wrong with a class that the model does not have."""
    return f"class {label} {OUTSIDE} 0 to {num_classes - 1}"


def _named(name: str, names: Sequence[str]) -> int:
    """Number of the class called `name`; capitals, ``-`` and ``_`` make no difference where no other name is so near.

    Raises:
        InputError: None or several are called so, or names are not known.
    """
    if not names:
        near = get_close_matches(name, [*REFERENCES, "top3"], n=1, cutoff=0.7)
        meant = f"did you mean {near[0]}? Else " if near else ""
        raise InputError(
            f"targets: {printable(name, _LONGEST)!r} can only be the name of a class, and the class names are unknown:"
            f" {meant}give them as data.classes, a file with one name a line, or give the number of the class"
        )
    found = [number for number, other in enumerate(names) if other == name]
    found = found or [number for number, other in enumerate(names) if _plain(other) == _plain(name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"targets: classes {listed(found)} are all called {name!r}: give a number")
    near = get_close_matches(name, REFERENCES, n=1, cutoff=0.7) + get_close_matches(name, names, n=3, cutoff=0.0)
    raise InputError(
        f"targets: class {printable(name, _LONGEST)!r} does not exist: the nearest names are {listed(near)}"
    )


def _plain(name: str) -> str:
    return re.sub(r"[-_ ]+", " ", name).strip().casefold()
