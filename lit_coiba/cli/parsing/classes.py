"""Classes that the command line knows by their short names: ``--model.method IBA``, ``--data SyntheticParts``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from inspect import isabstract
from typing import Any

from lit_coiba import attribution, concepts, data, feature_visualization, heads, metrics
from lit_coiba.cli.parsing.config_files import Config
from lit_coiba.concepts.factorization import Factorization
from lit_coiba.core.errors import InputError
from lit_coiba.core.method import AttributionMethod
from lit_coiba.core.near_names import did_you_mean
from lit_coiba.data.module import BlockDataModule
from lit_coiba.feature_visualization.visualizer import FeatureVisualizer
from lit_coiba.heads.head import Head
from lit_coiba.metrics.metric import Metric

# What a class must be, and the package that has ours.
PACKAGES: dict[type, Any] = {
    AttributionMethod: attribution,
    BlockDataModule: data,
    Factorization: concepts,
    FeatureVisualizer: feature_visualization,
    Head: heads,
    Metric: metrics,
}
BASES = {  # key -> what its class must be
    "data": BlockDataModule,
    "model.method": AttributionMethod,
    "model.factorization": Factorization,
    "model.visualizer": FeatureVisualizer,
}


def short_names(base: type) -> list[str]:
    """Classes that can be chosen by their short name; all of them are imported for it."""
    offered = set(PACKAGES[base].__all__)
    for name in offered:
        getattr(PACKAGES[base], name)
    return [name for name in _imported(base) if name in offered]


def import_named(words: Iterable[str], configs: Iterable[Config]) -> None:
    """Import the classes of ours whose short names stand on the command line or in a file, and no others.

    jsonargparse knows a class by its short name once it is imported.
    """
    values = {word.rpartition("=")[2] for word in words}
    values |= {value for config in configs for value in _values(config.content)}
    for name in values:
        if name.isidentifier():
            for package in PACKAGES.values():
                getattr(package, name, None)


def check_short_name(key: str, name: str | None) -> None:
    """Refuse the name of a class that is neither a path nor known.

    Raises:
        InputError: There is no such class.
    """
    base = BASES[key]
    if name is not None and name.isidentifier() and name not in _imported(base):
        known = short_names(base)
        otherwise = f": choose {', '.join(known)}"
        raise InputError(f"{key}: class {name} does not exist{did_you_mean(name, known, otherwise)}")


def find_class(name: str) -> type | None:
    """The class of this short name or path; None where it cannot be found without importing anything of the user's."""
    module, _, last = name.rpartition(".")
    places = [sys.modules.get(module)] if module else PACKAGES.values()
    found = (getattr(place, last, None) for place in places)
    return next((kind for kind in found if isinstance(kind, type)), None)


def _imported(base: type) -> list[str]:
    children: list[type] = base.__subclasses__()
    below = {name for child in children for name in _imported(child)}
    return sorted(below | {child.__name__ for child in children if not isabstract(child)})


def _values(content: Any) -> Iterator[str]:
    """Every text in nested mappings and lists."""
    if isinstance(content, dict):
        content = list(content.values())
    if isinstance(content, list):
        for value in content:
            yield from _values(value)
    elif isinstance(content, str):
        yield content
