"""The words of a command line before they are parsed: config files found and read, stale arguments taken out.

jsonargparse keeps arguments of a class that a later word replaces, where the new class has arguments of the same name:
after a file for CoIBA, ``--model.method IBA`` would run IBA with CoIBA's beta. Here a new class starts from its own
defaults.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from copy import deepcopy
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jsonargparse import get_loader

from lit_coiba.cli.parsing.old_words import current_words
from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import described, printable
from lit_coiba.files.regular import clause, read_bytes
from lit_coiba.files.yaml_text import LIMIT, check_yaml, unshared
from lit_coiba.resources import resource

_OPTIONS = ("-c", "--config")
_CLASS = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(?<!\.yaml)(?<!\.yml)(?<!\.json)")  # and no file
_SECTIONS = ("trainer", "model", "data")


class Config(NamedTuple):
    """What one ``-c`` says."""

    name: str
    content: dict[str, Any]
    module: str | None = None  # class of the model, where it says one

    def find(self, key: str) -> Any:
        """What this says about a dotted key, with or without ``init_args`` in it; None if nothing."""
        for parent, last, path in _nodes(self.content):
            if key in (path, path.replace(".init_args.", ".")):
                return parent[last]
        return None

    def word(self) -> str:
        """As one word of a command line."""
        return f"--config={yaml.safe_dump(self.content, default_flow_style=True, sort_keys=False, allow_unicode=True)}"


def read_configs(args: list[str], defaults: dict[str, Any]) -> tuple[list[str], list[Config], dict[str, str]]:
    """The same command line with the contents of all config files in it; these files; key -> class that is asked for.

    Args:
        args: The words after the verb.
        defaults: Content of a config file that comes before all others.

    Raises:
        InputError: A file does not exist or is no YAML mapping.
    """
    pieces = current_words(_pieces(args, defaults), _nodes)
    classes = _take_out_stale(pieces)
    configs = [piece for piece in pieces if isinstance(piece, Config)]
    return [piece if isinstance(piece, str) else piece.word() for piece in pieces], configs, classes


def asked_classes(args: list[str], keys: Sequence[str]) -> dict[str, str]:
    """Key -> class that the command asks for, by its words or its config files; empty where it asks for none.

    Args:
        args: The words after the verb.
        keys: Keys of the model.

    Raises:
        InputError: A file does not exist or is no YAML mapping.
    """
    return _take_out_stale(_pieces(args, {"model": {key: {"class_path": ""} for key in keys}}))


def mentions(args: list[str], section: str) -> bool:
    """Whether a word or a config file says anything about a section.

    Args:
        args: The words after the verb.
        section: The section, such as ``data``.

    Raises:
        InputError: A file does not exist or is no YAML mapping.
    """
    return any(
        section in piece.content if isinstance(piece, Config) else re.match(rf"--{section}(\.|=|$)", piece)
        for piece in _pieces(args, {})
    )


def asked_module(args: list[str]) -> tuple[list[str], str | None]:
    """The words without ``--model CLASS``, and the class of the model that these or a config file ask for, the last.

    Args:
        args: The words after the verb.

    Raises:
        InputError: A file does not exist or is no YAML mapping.
    """
    kept: list[str] = []
    found: str | None = None
    words = iter(args)
    for word in words:
        option, given, name = word.partition("=")
        if option == "--model":
            found = name if given else next(words, "")
            if not _CLASS.fullmatch(found):
                raise InputError(
                    f"--model {printable(found, 100)} is no class: give its name, such as HarmonizedClassifier"
                )
            continue
        kept.append(word)
        if option in _OPTIONS:
            kept += [] if given else [following := next(words, "")]
            found = _read(name if given else following).module or found
    return kept, found


def _pieces(args: list[str], defaults: dict[str, Any]) -> list[str | Config]:
    """The words, and in the place of ``-c`` and its file what the file says."""
    pieces: list[str | Config] = [Config("the defaults", deepcopy(defaults))]
    words = iter(args)
    for word in words:
        option, given, name = word.partition("=")
        if option not in _OPTIONS:
            pieces.append(word)
            continue
        name = name if given else next(words, "")
        if not name:
            raise InputError(f"{option} needs a file, such as {option} configs/method/coiba.yaml")
        pieces.append(_read(name))
    return pieces


def _read(name: str) -> Config:
    inline = name.lstrip().startswith("{")
    source = "the configuration on the command line" if inline else f"config file {printable(name, 200)}"
    text = name if inline else _text(name, source)
    try:
        check_yaml(text, source)
        content = unshared(get_loader("yaml")(text))
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}:" if error.problem_mark else ""
        raise InputError(f"{source},{line} {printable(error.problem or error.context, 200)} (YAML syntax)") from error
    except yaml.YAMLError as error:
        raise InputError(f"{source} is not YAML: {printable(str(error).splitlines()[0], 200)}") from error
    except (ValueError, TypeError, RecursionError, OverflowError) as error:  # of what looks like a number or a date
        if isinstance(error, InputError):
            raise
        raise InputError(f"{source} has a value that cannot be read ({printable(error, 200)}): quote it") from error
    if not isinstance(content, dict):
        raise InputError(f"{source} is not a mapping of keys to values, such as 'trainer: {{max_epochs: 5}}'")
    if strange := [key for key in content if not isinstance(key, str)]:
        raise InputError(f"{source} has the key {described(strange[0])}, but keys are text: quote it")
    if dotted := [key for key in content if "." in key]:
        outer, _, inner = dotted[0].partition(".")
        raise InputError(
            f"{source} has the key {printable(dotted[0], 100)}, which is for the command line: in a file, keys are"
            f" nested, {printable(f'{outer}: {{{inner}: ...}}', 100)}"
        )
    for section in _SECTIONS[:2]:
        if not isinstance(content.get(section) or {}, dict):
            shown = described(content[section])
            raise InputError(f"{section} in {source} is {shown}, but must be a mapping of keys to values")
    content = {key: value for key, value in content.items() if value is not None or key not in _SECTIONS}
    return Config(name, content, _class_taken(content, source))


def _class_taken(content: dict[str, Any], source: str) -> str | None:
    """The class that ``model`` names, which is taken out of it; its arguments may stand beside it or below it."""
    model = content.get("model") or {}
    if "class_path" not in model:
        return None
    name, below = model.pop("class_path"), model.pop("init_args", {})
    if not isinstance(name, str) or not isinstance(below, dict):
        raise InputError(f"model in {source} has the class_path {described(name)}: give the name of a class")
    content["model"] = {**below, **model}
    return name


def _text(name: str, source: str) -> str:
    """The text of a config file."""
    try:
        return read_bytes(_located(name), LIMIT).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{source} cannot be read: {error}") from error
    except OSError as error:
        raise InputError(f"{source} cannot be read: {clause(error)}") from error


def _located(name: str) -> Path:
    """A file of the user, or else one that comes with the package."""
    path = Path(os.path.expanduser(name))
    if os.path.exists(path):
        return path
    shipped = resource("configs")
    known = {f"configs/{file.relative_to(shipped).as_posix()}": file for file in sorted(shipped.rglob("*.yaml"))}
    if path.as_posix() in known:
        return known[path.as_posix()]
    near = get_close_matches(name, known, n=2) or get_close_matches(f"configs/{name}", known, n=2)
    raise InputError(
        f"config file {printable(name, 200)} does not exist" + (f": did you mean {' or '.join(near)}?" if near else "")
    )


def _take_out_stale(pieces: list[str | Config]) -> dict[str, str]:
    """Remove what configs say about a class that a later piece replaces by another one; the classes that stay.

    The first config, the defaults, gets the new class instead: words, and configs that leave the class to others, may
    then stand before the one that names it.
    """
    classes: dict[str, str] = {}  # key -> class, after the pieces so far
    settled: set[str] = set()  # keys whose class is not only the defaults' choice
    found: list[tuple[dict[str, Any], str, str, str]] = []  # parent, its key, the dotted key, class at that time
    for piece, following in zip(pieces, [*pieces[1:], ""]):
        if isinstance(piece, str):
            key, given, value = piece.removeprefix("--").partition("=")
            key, chosen = key.removesuffix(".class_path"), value if given else following
            if piece.startswith("--") and key in classes and isinstance(chosen, str) and _CLASS.fullmatch(chosen):
                classes[key] = chosen
                settled.add(key)
            continue
        for parent, last, key in _nodes(piece.content):
            node = parent[last]
            named = node.get("class_path") if isinstance(node, dict) else node if key in classes else None
            if isinstance(named, str):
                classes[key] = named
                if piece is not pieces[0]:
                    settled.add(key)
            if isinstance(named, str) or key in settled:
                found.append((parent, last, key, classes[key]))
    first = {id(parent) for parent, _, _ in _nodes(pieces[0].content)} if isinstance(pieces[0], Config) else set()
    for parent, last, key, then in found:
        if then.rpartition(".")[2] != classes[key].rpartition(".")[2]:
            parent.pop(last, None)
            if id(parent) in first:
                parent[last] = {"class_path": classes[key]}
    return classes


def _nodes(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[dict[str, Any], str, str]]:
    """Every key of nested mappings: the mapping it is in, the key, and its dotted name."""
    for key, value in content.items():
        yield content, key, f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _nodes(value, f"{prefix}{key}.")
