"""What of a model's output is explained, as a small frozen value that is part of a store's identity."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, ClassVar

from torch import Tensor

from lit_coiba.core.class_identity import class_identity, is_ours
from lit_coiba.core.errors import InputError
from lit_coiba.core.targets.resolved import Resolved


class Target(ABC):
    """What is explained. It never sees a model: `resolve` binds it to the clean output of one batch.

    Concrete targets are frozen dataclasses whose fields are plain values (text, numbers, booleans, None, tuples of
    these), so two of them are equal when they ask for the same, and JSON holds them. A new kind is one file.
    """

    kind: ClassVar[str]  # name in JSON and in short strings; unique

    @abstractmethod
    def resolve(self, out: Any, labels: Tensor | None = None, names: Sequence[str] = ()) -> Resolved:
        """This target for one batch, with everything that has to be chosen chosen on the clean output.

        Args:
            out: Clean output of the model for a batch of B images; logits ``(B, K)``, or the structure that it returns.
            labels: Class of each image, ``(B,)``; -1 or None = no label.
            names: Class names in index order; empty = unknown.

        Raises:
            InputError: The output is none that this target can be found in.
        """

    @property
    def uses_names(self) -> bool:
        """Whether the names of the model's classes are asked for."""
        return False

    @property
    def uses_labels(self) -> bool:
        """Whether the labels of the images are what is explained."""
        return False

    def check(self, num_classes: int, names: Sequence[str] | None = None) -> None:
        """Refuse what a model of `num_classes` classes cannot have, before it runs.

        Args:
            num_classes: Number of classes.
            names: Class names in index order; empty = unknown, None = not looked up yet.

        Raises:
            InputError: The target names something outside the model's output.
        """
        return

    def identity(self) -> Any:
        """What stands for this target in the identity of a store: plain values."""
        return {**self.to_json(), "version": 1}

    def to_json(self) -> dict[str, Any]:
        """Kind and fields, as plain values; a class outside this package goes by its module and name."""
        return {"kind": _name(type(self)), **asdict(self)}  # type: ignore[call-overload]

    @classmethod
    def from_json(cls, told: Mapping[str, Any], *kinds: type[Target]) -> Target:
        """The target that `to_json` was asked of.

        Args:
            told: Kind and fields.
            kinds: Classes outside this package that may be meant: a file never imports one.

        Raises:
            InputError: No such kind, or fields that it does not have.
        """
        known = {_name(kind): kind for kind in (*_concrete(Target), *kinds)}
        kind = known.get(told.get("kind", ""))
        if kind is None:
            asked = str(told.get("kind"))
            if "." in asked:
                raise InputError(
                    f"the target is a {asked}, a class outside lit-coiba: give its class too, if you trust it"
                )
            raise InputError(f"a target of kind {asked!r} does not exist: choose {', '.join(sorted(known))}")
        values = {name: value for name, value in told.items() if name not in ("kind", "version")}
        names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
        if unknown := set(values) - set(names):
            raise InputError(f"a target of kind {kind.kind} has no field {min(unknown)!r}: it has {', '.join(names)}")
        return kind(**{name: _frozen(value) for name, value in values.items()})


def _name(kind: type[Target]) -> str:
    return kind.kind if is_ours(kind) else class_identity(kind)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _concrete(base: Any) -> list[type[Target]]:
    """All kinds of this package, as far as they are imported."""
    own = [kind for kind in base.__subclasses__() if is_ours(kind)]
    return [kind for child in own for kind in (child, *_concrete(child))]
