"""Old names in config files and on the command line become the present ones, with a line that says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lit_coiba.cli import terminal
from lit_coiba.core.old_names import ARGUMENTS, current_argument, current_path, current_targets, current_value

TARGETS = "model.targets"


def current_words(pieces: list[Any], nodes: Any) -> list[Any]:
    """The words and config files of a command in present names; files are changed in place.

    Args:
        pieces: Words, and config files with a `name` and a `content`.
        nodes: Walks the keys of nested mappings: the mapping, the key in it, and its dotted name.
    """
    classes = _classes(pieces, nodes)
    told: dict[str, None] = {}
    found: list[Any] = []
    for position, piece in enumerate(pieces):
        if isinstance(piece, str):
            before = pieces[position - 1] if position else ""
            found.append(_word(piece, before if isinstance(before, str) else "", classes, told))
            continue
        for parent, last, path in list(nodes(piece.content)):
            _entry(parent, last, path, classes, told)
        found.append(piece)
    for line in told:
        terminal.warn(line)
    return found


def _classes(pieces: list[Any], nodes: Any) -> dict[str, str]:
    """Key -> the last class that is named for it, of those whose arguments had other names."""
    classes: dict[str, str] = {}

    def name(key: str, value: Any) -> None:
        if isinstance(value, str) and value.rpartition(".")[2] in ARGUMENTS:
            classes[key.removesuffix(".class_path")] = value

    for piece, following in zip(pieces, [*pieces[1:], ""]):
        if not isinstance(piece, str):
            for parent, last, path in nodes(piece.content):
                name(path, parent[last])
        elif piece.startswith("--"):
            key, given, value = piece[2:].partition("=")
            name(key, value if given else following)
    return classes


def _word(word: str, before: str, classes: Mapping[str, str], told: dict[str, None]) -> str:
    """One word: an option, perhaps with its value, or the value of the option before it."""
    if not word.startswith("--"):
        option = before[2:] if before.startswith("--") and "=" not in before else ""
        return _value(_argument(option, classes, {}), word, classes, told) if option else word
    key, given, value = word[2:].partition("=")
    key = _argument(key, classes, told)
    return f"--{key}{given}{_value(key, value, classes, told) if given else value}"


def _entry(parent: dict[str, Any], last: str, path: str, classes: Mapping[str, str], told: dict[str, None]) -> None:
    """One key of a config file."""
    key = _argument(path, classes, told)
    new = key.rpartition(".")[2]
    value = parent[last]
    parent[last] = _value(key, value, classes, told) if isinstance(value, str) else value
    if new != last:
        entries = [(new if name == last else name, part) for name, part in parent.items() if name != new]
        parent.clear()
        parent.update(entries)


def _argument(path: str, classes: Mapping[str, str], told: dict[str, None]) -> str:
    """A dotted key with the present name of its last part."""
    parent, _, last = path.rpartition(".")
    kind = classes.get(parent.removesuffix(".init_args"))
    new = current_argument(kind, last) if kind is not None else last
    if new == last:
        return path
    told[f"{parent.removesuffix('.init_args')}.{last} is called {new} now"] = None
    return f"{parent}.{new}"


def _value(key: str, value: str, classes: Mapping[str, str], told: dict[str, None]) -> str:
    """The present name of a class, a target or another value."""
    parent, _, last = key.rpartition(".")
    kind = classes.get(parent.removesuffix(".init_args"))
    new = current_targets(value) if key == TARGETS else current_path(value)
    new = new if kind is None else str(current_value(kind, last, new))
    if new != value:
        told[f"{key.replace('.init_args', '')}: {value} is called {new} now"] = None
    return new
