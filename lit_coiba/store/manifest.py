"""What made a store: the identity that a resumed run must share, and the provenance, which is only recorded."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import msgspec

from lit_coiba.core.errors import InputError
from lit_coiba.core.old_names import current_identity
from lit_coiba.core.printable import described, printable
from lit_coiba.core.targets.strings import target_text
from lit_coiba.files.atomic import atomically
from lit_coiba.files.json_text import read_json, typed

FILE_NAME = "manifest.json"
SCHEMA_VERSION = 1

ADDED = ("data", "files", "target class", "class names")  # what identities of version 0.1.0 did not have

_WIDTH = 60  # characters of a value in a message
_SHOWN = 8  # differences in a message


class _Identity(TypedDict, total=False):
    """What the rest of the package reads of an identity; whatever else is in it is only compared."""

    model: str
    method: dict[str, Any]
    preprocessing: dict[str, Any]
    ids: str
    samples: int
    block_size: int
    statistics: str | None
    precision: str
    split: str


class _Told(msgspec.Struct, forbid_unknown_fields=True):
    """A manifest as its file has it."""

    identity: dict[str, Any]
    recorded: dict[str, Any] = {}
    resumed: list[dict[str, Any]] = []
    schema_version: int = SCHEMA_VERSION


@dataclass
class Manifest:
    """How the explanations of one store were made.

    Example:
        >>> old = Manifest({"method": {"class": "CoIBA", "steps": 10}, "seed": 0})
        >>> old.differences(Manifest({"method": {"class": "CoIBA", "steps": 20}, "seed": 0}))
        ['method.steps 10 -> 20']
    """

    identity: dict[
        str, Any
    ]  # decides the numbers: model digest, method and arguments, targets, ids, seed, block size, ...
    recorded: dict[str, Any] = field(default_factory=dict)  # may differ on resume: devices, workers, versions, ...
    resumed: list[dict[str, Any]] = field(default_factory=list)  # what later runs recorded, where it was something new
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        self.identity = _plain(self.identity, "identity")
        self.recorded = _plain(self.recorded, "recorded")

    @property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of the identity; every block carries it."""
        text = json.dumps(self.identity, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def class_names(self) -> list[str]:
        """Names of the model's classes, as the last run that knew them recorded them; empty = unknown."""
        told = [one.get("class_names") for one in (self.recorded, *self.resumed) if isinstance(one, dict)]
        names: Any = next((names for names in reversed(told) if names), [])
        return [str(name) for name in names] if isinstance(names, list) else []

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Read the manifest of a store.

        Raises:
            FileNotFoundError: The folder has none.
            InputError: It is damaged, or a newer version of this package wrote it.
        """
        file = folder / FILE_NAME
        try:
            told = read_json(file, dict[str, Any], "manifest")
            version = told.get("schema_version")
            if type(version) is not int:
                raise ValueError("it has no schema_version")
            if version == SCHEMA_VERSION:
                found = typed(told, _Told)
                typed(found.identity, _Identity)
                return cls(found.identity, found.recorded, found.resumed, version)
        except (InputError, ValueError) as error:
            reason = str(error.__cause__ or error)
            raise InputError(
                f"{printable(file, 200)} is damaged ({printable(reason, 200)}): restore it from a copy, or choose"
                " another folder"
            ) from error
        raise InputError(
            f"{printable(file, 200)} has schema version {described(version)}, and this version of lit-coiba reads "
            f"{SCHEMA_VERSION}: use the version that wrote the store, or choose another folder"
        )

    def save(self, folder: Path, exclusive: bool = False) -> None:
        """Write ``manifest.json`` in one piece; `exclusive` refuses to replace one (`FileExistsError`)."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=True, allow_nan=False)
        with atomically(folder / FILE_NAME, exclusive) as file:
            file.write(f"{text}\n".encode())

    def differences(self, new: Manifest) -> list[str]:
        """What differs between this identity and a new one, as ``name old -> new``; empty if they are the same.

        Names that have changed since one of them was written are no difference.
        """
        ours, theirs = self._compared(new)
        names = self.differing(new)
        if "samples" in names:  # then the digest of their ids says nothing more
            names = [name for name in names if name != "ids"]
        texts = [(name, _shorten(_text(ours, name), _text(theirs, name))) for name in names]
        return [f"{printable(name, _WIDTH)} {' -> '.join(two)}" for name, two in texts]

    def differing(self, new: Manifest) -> list[str]:
        """Names of what differs between this identity and a new one; those of nested values with dots."""
        ours, theirs = self._compared(new)
        names = [*ours, *(name for name in theirs if name not in ours)]
        return [name for name in names if name not in ours or name not in theirs or ours[name] != theirs[name]]

    def _compared(self, new: Manifest) -> tuple[dict[str, Any], dict[str, Any]]:
        """Both identities in present words, without what one of them is too old to know."""
        ours, theirs = current_identity(self.identity), current_identity(new.identity)
        for name in ADDED:
            if name not in ours or name not in theirs:
                ours.pop(name, None)
                theirs.pop(name, None)
        if "targets" in ours and "targets" in theirs and ours["targets"] != theirs["targets"]:
            for told in (ours, theirs):
                told["targets"] = target_text(told["targets"])
        return _flat(ours), _flat(theirs)

    def check(self, new: Manifest, store: Path) -> None:
        """Refuse to continue this manifest's store with another identity.

        Raises:
            InputError: The identities differ; the message says in what, and what to do.
        """
        if told := self.told(new):
            raise InputError(
                f"store {store} was made with other arguments (old -> new): {told}; "
                "choose another folder, or repeat the original arguments"
            )

    def told(self, new: Manifest) -> str:
        """The first of the `differences`, as text; empty if there are none."""
        differences = self.differences(new)
        more = len(differences) - _SHOWN
        return ", ".join([*differences[:_SHOWN], *([f"and {more} more"] if more > 0 else [])])


def refuse_inside(path: Path) -> None:
    """Refuse to make a store inside another one, whose blocks it would look like.

    Raises:
        InputError: Naming the other store.
    """
    for above in path.resolve().parents:
        if (above / FILE_NAME).exists() and (above / "blocks").is_dir():
            raise InputError(f"store {path} would lie inside the store {above}: choose another folder")


def _plain(value: Any, name: str) -> Any:
    """`value` as JSON gives it back, so that a manifest equals itself after a trip to disk."""
    if isinstance(value, dict):
        return {str(key): _plain(item, f"{name}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{name}[{index}]") for index, item in enumerate(value)]
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise InputError(f"the manifest's {name} is {value!r}: give finite numbers, text, lists or mappings")


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted names."""
    if not isinstance(value, dict) or not value:
        return {name: value}
    flat: dict[str, Any] = {}
    for key, part in value.items():
        flat |= _flat(part, f"{name}.{key}" if name else key)
    return flat


def _text(values: dict[str, Any], name: str) -> str:
    return printable(json.dumps(values[name], ensure_ascii=False)) if name in values else "(absent)"


def _shorten(old: str, new: str) -> tuple[str, str]:
    """Two texts cut around the place where they begin to differ."""
    if max(len(old), len(new)) <= _WIDTH:
        return old, new
    common = next((place for place, (a, b) in enumerate(zip(old, new)) if a != b), min(len(old), len(new)))
    start = max(0, common - _WIDTH // 4)

    def cut(text: str) -> str:
        return f"{'...' * bool(start)}{text[start : start + _WIDTH]}{'...' * (len(text) > start + _WIDTH)}"

    return cut(old), cut(new)
