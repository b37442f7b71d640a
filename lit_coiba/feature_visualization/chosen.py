"""What is to be visualized, by words: classes, channels, neurons, concepts, units, targets, embeddings."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from lit_coiba.concepts.concepts import Concepts
from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.core.targets import Class, Target, parse_target
from lit_coiba.feature_visualization.objectives.channel import Channel
from lit_coiba.feature_visualization.objectives.concept_objective import ConceptObjective
from lit_coiba.feature_visualization.objectives.embedding import Embedding
from lit_coiba.feature_visualization.objectives.neuron import Neuron
from lit_coiba.feature_visualization.objectives.objective import Objective
from lit_coiba.feature_visualization.objectives.prototype_channel import PrototypeChannel, head_of
from lit_coiba.feature_visualization.objectives.target_score import TargetScore
from lit_coiba.feature_visualization.visualization_item import Kind
from lit_coiba.files.given_path import given_path
from lit_coiba.files.npy_file import map_array
from lit_coiba.files.regular import clause

ALL = "all"
MOST = 1_000_000  # numbers of a range
_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")
_NEURON = re.compile(r"(?P<channels>[^@]+)(?:@(?P<row>\d{1,9}),(?P<column>\d{1,9}))?")


class Chosen(NamedTuple):
    """One thing that an image is optimized for, and what it is called."""

    key: str  # name of its folder
    kind: Kind
    objective: Objective
    of: str  # digest of what it is: the same key and another digest are another thing
    name: str  # for people
    cls: int | None = None
    concept: int | None = None
    layer: str | None = None
    unit: int | None = None
    side: int | None = None


def chosen_things(
    model: Any,
    classes: Sequence[Any] = (),
    channels: Sequence[str] = (),
    neurons: Sequence[str] = (),
    concepts: Sequence[Any] = (),
    units: Sequence[Any] = (),
    targets: Sequence[Any] = (),
    embeddings: Sequence[str] = (),
) -> list[Chosen]:
    """What the words choose, each thing once; all classes where they choose nothing.

    Args:
        model: The model.
        classes: Numbers, ranges such as ``0-9``, and names of classes; or ``all``.
        channels: Layers with channels, such as ``layer3:0-15,20`` or ``layer3:all``.
        neurons: The same at a place, ``layer3:5@2,3`` (row, column); in the middle where none is given.
        concepts: Files of concepts, or folders of them; in Python also `Concepts`.
        units: Numbers and ranges of units of the model's head, or ``all``.
        targets: Targets, or their words.
        embeddings: NumPy files, each with one vector of features or a row for each.

    Raises:
        InputError: Something chosen is not there, or nothing is.
    """
    if not (classes or channels or neurons or concepts or units or targets or embeddings):
        if not getattr(model, "num_classes", 0):
            raise InputError(
                "nothing is chosen, and the model has no classes: give channels, such as --channels LAYER:0-15"
            )
        classes = (ALL,)
    found: dict[str, Chosen] = {}
    for one in (
        *_classes(model, classes),
        *_channels(model, channels),
        *_neurons(model, neurons),
        *_concepts(model, concepts),
        *_units(model, units),
        *_targets(model, targets),
        *_embeddings(embeddings),
    ):
        if (other := found.get(one.key)) is not None and other.of != one.of:
            one = one._replace(key=f"{one.key}_{one.of[:8]}")
        found[one.key] = one
    return list(found.values())


def _classes(model: Any, words: Sequence[Any]) -> Iterator[Chosen]:
    count, names = model.num_classes, getattr(model, "class_names", None) or ()
    for word in words:
        for cls in _numbers(str(word), count, "class", "classes") or [_class_number(word, count, names)]:
            name = names[cls] if names and names[cls].strip() else f"class {cls}"
            yield Chosen(f"class_{cls:05d}", "class", TargetScore(cls), _digest("class", cls), name, cls=cls)


def _class_number(word: Any, count: int, names: Sequence[str]) -> int:
    target = parse_target(word)
    if not isinstance(target, Class) or not (isinstance(target.cls, int) or target.uses_names):
        raise InputError(f"classes has {printable(word, 80)!r}: give numbers or names of classes, or all")
    target.check(count, names)
    return int(target.resolve(torch.zeros(1, count), names=names).index[0])


def _channels(model: Any, words: Sequence[str]) -> Iterator[Chosen]:
    for word in words:
        layer, numbers = _layer(model, word, "channels")
        for number in numbers:
            objective, of = Channel(layer, number), _digest("channel", layer, number)
            key = f"channel_{_slug(layer)}_{number:04d}"
            yield Chosen(key, "channel", objective, of, objective.name, layer=layer, unit=number)


def _neurons(model: Any, words: Sequence[str]) -> Iterator[Chosen]:
    for word in words:
        found = _NEURON.fullmatch(word)
        if found is None:
            raise InputError(f"neurons has {printable(word, 80)!r}: write LAYER:CHANNEL or LAYER:CHANNEL@ROW,COLUMN")
        row, column = (None if found[name] is None else int(found[name]) for name in ("row", "column"))
        layer, numbers = _layer(model, found["channels"], "neurons")
        for number in numbers:
            objective, of = Neuron(layer, number, row, column), _digest("neuron", layer, number, row, column)
            place = "" if row is None else f"_{row}_{column}"
            key = f"neuron_{_slug(layer)}_{number:04d}{place}"
            yield Chosen(key, "neuron", objective, of, objective.name, layer=layer, unit=number)


def _layer(model: Any, word: str, argument: str) -> tuple[str, list[int]]:
    """The layer and its channels that a word such as ``layer3:0-15`` chooses."""
    layer, colon, rest = str(word).rpartition(":")
    if not colon or not layer:
        raise InputError(f"{argument} has {printable(word, 80)!r}: write LAYER:CHANNELS, such as layer3:0-15")
    count = model.grid(layer).channels  # refuses what is none
    numbers = [n for part in rest.split(",") for n in _numbers(part, count, "channel", f"channels of {layer}") or [-1]]
    if -1 in numbers:
        raise InputError(f"{argument} has {printable(word, 80)!r}: write LAYER:CHANNELS, such as layer3:0-15")
    return layer, numbers


def _concepts(model: Any, given: Sequence[Any]) -> Iterator[Chosen]:
    for one in given:
        for concepts in [one] if isinstance(one, Concepts) else map(Concepts.load, _concept_files(one)):
            concepts.check(model)
            about, digest = concepts.about, concepts.digest()
            for number in range(len(concepts)):
                yield Chosen(
                    f"concept_{about.cls:05d}_{number:02d}",
                    "concept",
                    ConceptObjective(concepts, number),
                    _digest("concept", digest, number),
                    f"{_class_name(model, about.cls)}, concept {number}",
                    cls=about.cls,
                    concept=number,
                    layer=about.layer,
                )


def _concept_files(given: Any) -> list[Path]:
    path = given_path(given, "concepts")
    if not path.is_dir():
        return [path]
    files = sorted(path.rglob("concepts*.safetensors")) or sorted(path.rglob("*.safetensors"))
    if not files:
        raise InputError(
            f"concepts: {printable(path, 200)} has no file of concepts: give files that Concepts.save wrote"
        )
    return files


def _units(model: Any, words: Sequence[Any]) -> Iterator[Chosen]:
    if not words:
        return
    head = head_of(model)
    for word in words:
        numbers = _numbers(str(word), head.units, "unit", "units")
        if not numbers:
            raise InputError(f"units has {printable(word, 80)!r}: give numbers of units, ranges such as 0-15, or all")
        for number in numbers:
            for side in (1, -1) if head.two_sided else (1,):
                objective = PrototypeChannel(number, side)
                key = f"unit_{number:04d}{'_negative' if side < 0 else ''}"
                of = _digest("unit", number, side)
                yield Chosen(key, "unit", objective, of, objective.name, unit=number, side=side)


def _targets(model: Any, given: Sequence[Any]) -> Iterator[Chosen]:
    for one in given:
        target = parse_target(one)
        if hasattr(model, "num_classes"):
            target.check(model.num_classes, getattr(model, "class_names", None) or ())
        objective, of = TargetScore(target), _digest("target", str(target.to_json()))
        cls = target.cls if isinstance(target, Class) and isinstance(target.cls, int) else None
        name = str(one) if isinstance(one, Target) else objective.name
        yield Chosen(f"target_{_slug(objective.name)}_{of[:8]}", "target", objective, of, name, cls=cls)


def _embeddings(files: Sequence[str]) -> Iterator[Chosen]:
    for given in files:
        path = given_path(given, "embeddings")
        try:
            array = map_array(path, (None,), "f")
            if array.ndim > 2 or not array.size:
                raise OSError(0, f"its shape is {array.shape}", str(path))
        except OSError as error:
            raise InputError(
                f"embeddings: {printable(path, 200)} cannot be read ({clause(error)}): give a NumPy file (D,) or (n, D)"
            ) from error
        for number, vector in enumerate(array.reshape(-1, array.shape[-1])):
            label = f"{path.stem}, row {number}"
            objective, of = Embedding(vector.tolist(), label=label), _digest("embedding", vector.tobytes().hex())
            yield Chosen(f"embedding_{_slug(path.stem)}_{number:04d}", "embedding", objective, of, label)


def _numbers(word: str, count: int, noun: str, plural: str) -> list[int]:
    """The numbers that a word such as ``7``, ``0-15`` or ``all`` chooses; none where it is another word.

    Raises:
        InputError: There is no such number.
    """
    if word == ALL:
        return list(range(count))
    found = _RANGE.fullmatch(word)
    if found is None:
        return []
    first = int(found[1])
    last = first if found[2] is None else int(found[2])
    if last < first:
        raise InputError(f"{plural}: the range {word} is empty: write the smaller number first")
    if last >= count:
        raise InputError(f"{noun} {last} does not exist: the {plural} are 0 to {count - 1}")
    return list(range(first, last + 1))


def _class_name(model: Any, cls: int) -> str:
    names = getattr(model, "class_names", None) or ()
    return names[cls] if cls < len(names) and names[cls].strip() else f"class {cls}"


def _digest(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _slug(text: str) -> str:
    """A text as a part of the name of a file; two texts may have the same."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text)[:60].strip("-.") or "x"
