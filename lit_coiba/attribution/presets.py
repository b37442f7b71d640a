"""Methods by short words: the files of ``configs/method``, class names, and either with arguments behind it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

import yaml

from lit_coiba import attribution
from lit_coiba.core.class_identity import is_ours
from lit_coiba.core.errors import InputError
from lit_coiba.core.method import AttributionMethod
from lit_coiba.core.printable import printable
from lit_coiba.resources import resource

_OUTSIDE_BRACKETS = re.compile(r",(?![^\[\]{}]*[\]}])")  # commas between arguments, not those within a list


def preset_names() -> list[str]:
    """Names of the files of ``configs/method``, sorted."""
    return sorted(file.stem for file in resource("configs/method").glob("*.yaml"))


def method_named(word: str) -> AttributionMethod:
    """The method that a word stands for.

    Args:
        word: A file of ``configs/method`` without its ending (``coiba_fast``), or the name of one of our classes
            (``GradCAM``); arguments may follow after a colon, written as in YAML: ``coiba:beta=10,layers=[norm]``.

    Raises:
        InputError: There is no such method, or it does not take an argument.

    Example:
        >>> method_named("smooth_grad:n_samples=8").n_samples
        8
    """
    name, _, told = word.partition(":")
    kind, arguments = _described(name, word)
    given = dict(_argument(part, word) for part in _OUTSIDE_BRACKETS.split(told) if part)
    try:
        return kind(**{**arguments, **given})
    except (TypeError, InputError) as error:
        raise InputError(f"methods: {printable(word, 80)}: {error}") from error


def preset(name: str) -> tuple[type[AttributionMethod], dict[str, Any]]:
    """Class and arguments in a file of ``configs/method``."""
    told = yaml.safe_load(resource(f"configs/method/{name}.yaml").read_text(encoding="utf-8"))["model"]["method"]
    return getattr(attribution, told["class_path"].rpartition(".")[2]), dict(told.get("init_args") or {})


def columns(words: list[str]) -> dict[str, AttributionMethod]:
    """Name in a table -> method, in the order of `words`.

    Raises:
        InputError: A word comes twice, or stands for nothing.
    """
    found: dict[str, AttributionMethod] = {}
    for word in words:
        name = word.replace(":", " ").replace("/", "_")
        if name in found:
            raise InputError(f"methods: {printable(word, 80)} comes twice: give each method once")
        found[name] = method_named(word)
    return found


def _described(name: str, word: str) -> tuple[type[AttributionMethod], Mapping[str, Any]]:
    known = preset_names()
    if name in known:
        return preset(name)
    kind = getattr(attribution, name, None) if name.isidentifier() else None
    if isinstance(kind, type) and issubclass(kind, AttributionMethod) and is_ours(kind):
        return kind, {}
    near = get_close_matches(name.lower(), known, 1)
    hint = f": did you mean {near[0]}?" if near else " (lit-coiba methods lists them)"
    raise InputError(f"methods: {printable(word, 80)} is no method{hint}")


def _argument(part: str, word: str) -> tuple[str, Any]:
    name, equals, value = part.partition("=")
    if not equals or not name.isidentifier():
        raise InputError(
            f"methods: {printable(word, 80)}: arguments follow a colon as name=value, with commas between them"
        )
    try:
        found = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise InputError(f"methods: {printable(word, 80)}: {name} is not written as in YAML") from error
    with suppress(ValueError):  # to YAML 1e-3, without a point, is a text
        found = float(found) if isinstance(found, str) else found
    return name, found
