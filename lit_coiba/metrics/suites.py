"""Metrics that belong together, as files: what a benchmark measures where one word is to say it."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from lit_coiba import metrics
from lit_coiba.core.class_identity import is_ours
from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.files.regular import read_text
from lit_coiba.files.yaml_text import check_yaml
from lit_coiba.metrics.metric import Metric
from lit_coiba.resources import resource


def suite_names() -> list[str]:
    """Names of the suites that come with the package, sorted."""
    return sorted(file.stem for file in resource("configs/benchmark").glob("*.yaml"))


def load_suite(name: str) -> dict[str, Metric]:
    """The metrics of a suite by the names of their columns.

    Args:
        name: A suite that comes with the package, such as ``quick``, or a YAML file with ``model: metrics:``, a mapping
            from columns to ``class_path`` and ``init_args``; or several of them, with a plus between them, of which
            the last decides what a column is. A file names metrics of this package only.

    Raises:
        InputError: There is no such suite, or it does not say what metrics are.

    Example:
        >>> list(load_suite("cells"))
        ['insertion', 'deletion', 'pointing', 'energy', 'relevance_rank']
    """
    if "+" in name and not Path(name).exists():
        return {column: metric for one in name.split("+") for column, metric in load_suite(one).items()}
    known = suite_names()
    if name not in known and not name.endswith((".yaml", ".yml")):
        near = get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"give {', '.join(known)}, or a YAML file"
        raise InputError(f"suite {printable(name, 80)} does not exist: {hint}")
    file = resource(f"configs/benchmark/{name}.yaml") if name in known else Path(name)
    try:
        text = read_text(file, f"suite {printable(name, 80)}")
        check_yaml(text, f"suite {printable(name, 80)}")
        told = yaml.safe_load(text)["model"]["metrics"]
        return {str(column): _metric(column, one, name) for column, one in told.items()}
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"suite {printable(name, 80)} is not a file of metrics by their columns (model: metrics: NAME: class_path):"
            f" {printable(str(error), 120)}"
        ) from error


def _metric(column: Any, told: Any, suite: str) -> Metric:
    path = told if isinstance(told, str) else told["class_path"]
    name = path.rpartition(".")[2]
    kind = getattr(metrics, name, None) if name.isidentifier() else None
    if not (isinstance(kind, type) and issubclass(kind, Metric) and is_ours(kind)):
        raise InputError(
            f"suite {printable(suite, 80)}: {printable(str(column), 80)} is {printable(path, 80)}, which is no metric"
            " of lit-coiba (lit-coiba metrics lists them): your own goes by --model.metrics.NAME CLASS"
        )
    given = {} if isinstance(told, str) else told.get("init_args") or {}
    try:
        made: Metric = kind(**given)
    except TypeError as error:  # an argument that it does not have
        what = f"suite {printable(suite, 80)}: {printable(str(column), 80)}"
        raise InputError(f"{what}: {printable(str(error), 120)}") from error
    return made
