"""Names that were changed since version 0.1.0, and what they are called now: the one table for all files and commands.

A store, a checkpoint or prototypes keep the words that they were written with, and their digests; they are read, and
compared, through this table. In a config file or on the command line an old name is taken, with a warning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Class -> its arguments.
ARGUMENTS: dict[str, dict[str, str]] = {
    "Deletion": {"cells": "grid_size"},
    "EVA": {"samples": "n_samples"},
    "HSIC": {"grid": "grid_size", "n": "n_samples"},
    "InputIBA": {"samples": "n_samples"},
    "Insertion": {"cells": "grid_size"},
    "KernelSHAP": {"cells": "grid_size", "n": "n_samples"},
    "LIME": {"cells": "grid_size", "n": "n_samples"},
    "RISE": {"cells": "grid_size", "n": "n_samples", "normalisation": "normalization"},
    "RandomMap": {"cells": "grid_size"},
    "SmoothGrad": {"copies": "n_samples"},
    "Sobol": {"grid": "grid_size", "n": "n_samples"},
}

# Class -> argument, by its present name -> values.
VALUES: dict[str, dict[str, dict[Any, Any]]] = {
    "Deletion": {"baseline": {"zeros": "zero"}},
    "Insertion": {"baseline": {"zeros": "zero"}},
}

# Class -> arguments that older versions did not have, with the values that stand for what these did.
ADDED: dict[str, dict[str, Any]] = {
    "CoIBA": {"start": "open"},
    "HSIC": {"baseline": "zero"},
    "RISE": {"masks": "smooth"},
    "Sobol": {"masks": "continuous", "baseline": "zero"},
}

# Modules below this package that had classes which a config could name.
MODULES: dict[str, str] = {
    "data.cub200": "data.released.cub200",
    "data.imagenet": "data.released.imagenet",
    "data.oxford_pets": "data.released.oxford_pets",
    "data.stanford_cars": "data.released.stanford_cars",
    "data.stanford_dogs": "data.released.stanford_dogs",
    "metrics.deletion": "metrics.faithfulness.deletion",
    "metrics.energy_pointing": "metrics.localisation.energy_pointing",
    "metrics.insertion": "metrics.faithfulness.insertion",
    "metrics.pointing_game": "metrics.localisation.pointing_game",
    "metrics.relevance_rank": "metrics.localisation.relevance_rank",
    "modules.classifier": "training.classifier",
    "modules.feature_cache": "training.feature_cache",
    "modules.purity_training": "training.purity_training",
    "modules.teacher": "training.teacher",
}

# Keys of the summary of prototypes.
SUMMARY: dict[str, str] = {"silent": "dead", "twins": "duplicate"}

_PACKAGE = "lit_coiba"
_RANKS = re.compile(r"top-(\d+)")


def current_argument(kind: str, name: str) -> str:
    """What the argument `name` of a class is called now; `kind` is the class's path or short name.

    Example:
        >>> current_argument("lit_coiba.attribution.SmoothGrad", "copies"), current_argument("my.SmoothGrad", "copies")
        ('n_samples', 'copies')
    """
    return ARGUMENTS.get(_short(kind), {}).get(name, name)


def current_value(kind: str, name: str, value: Any) -> Any:
    """What the value of an argument, by its present name, is called now."""
    values = VALUES.get(_short(kind), {}).get(name, {})
    return values.get(value, value) if isinstance(value, str) else value


def current_path(path: str) -> str:
    """Where a class is now, by the path that it had.

    Example:
        >>> current_path("lit_coiba.modules.classifier.Classifier")
        'lit_coiba.training.classifier.Classifier'
    """
    package, _, rest = path.partition(".")
    module, _, name = rest.rpartition(".")
    return f"{package}.{MODULES[module]}.{name}" if package == _PACKAGE and module in MODULES else path


def current_targets(targets: Any) -> Any:
    """The short text of a target as it is written now.

    Example:
        >>> current_targets("top-3"), current_targets("predicted")
        ('top3', 'predicted')
    """
    found = _RANKS.fullmatch(targets) if isinstance(targets, str) else None
    return f"top{int(found[1])}" if found else targets


def current_identity(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The identity of a store in present words; each mapping with a ``class`` has the arguments of that class."""
    told = _renamed(identity)
    return {**told, "targets": current_targets(told["targets"])} if "targets" in told else told


def current_summary(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The summary of prototypes, by its present keys."""
    return {SUMMARY.get(key, key): value for key, value in summary.items()}


def _renamed(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    kind = value.get("class")
    if not isinstance(kind, str):
        return {key: _renamed(part) for key, part in value.items()}
    new = {current_argument(kind, key): _renamed(part) for key, part in value.items()}
    return {**ADDED.get(_short(kind), {}), **{key: current_value(kind, key, part) for key, part in new.items()}}


def _short(kind: str) -> str:
    """The short name of a class of this package; the whole path of any other."""
    package, _, rest = kind.partition(".")
    return rest.rpartition(".")[2] if package == _PACKAGE else kind
