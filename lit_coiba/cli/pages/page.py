"""How a help page looks: text and keys, section by section, at any width of the terminal."""

from __future__ import annotations

import collections.abc
import re
import types
from collections.abc import Callable, Iterable, Iterator
from inspect import Parameter, signature
from shutil import get_terminal_size
from textwrap import wrap
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from lit_coiba.cli.pages.docstrings import argument_texts, argument_types

_COLUMN = 34  # where explanations begin
_WIDEST, _NARROWEST = 120, 20
_STACKED = 70  # characters below which an explanation stands under its key
_INDENT = 6


class Part(NamedTuple):
    """A section of a page: a block of text as it is, then keys and what they mean."""

    title: str
    text: str
    keys: list[tuple[str, str]]


class Page:
    """Text put together section by section; how wide it is, the terminal says when it is shown.

    Args:
        usage: How the command is written.
        text: What it does.
        parts: Sections that are known; `section` and `keys` add others.
    """

    def __init__(self, usage: str, text: str, parts: Iterable[Part] = ()) -> None:
        self.usage, self.text, self.parts = usage, text, list(parts)

    def section(self, title: str, text: str) -> None:
        """A block of text, as it is."""
        self.parts.append(Part(title, text, []))

    def keys(self, title: str, keys: Iterable[tuple[str, str]]) -> None:
        """Keys and what they mean."""
        self.parts.append(Part(title, "", list(keys)))

    def __str__(self) -> str:
        width = max(min(get_terminal_size().columns, _WIDEST), _NARROWEST)
        lines = [f"usage: lit-coiba {self.usage}", "", *wrap(self.text, width)]
        for part in self.parts:
            lines += ["", *wrap(f"{part.title}:", width, subsequent_indent="  "), *part.text.splitlines()]
            lines += [line for key, meaning in part.keys for line in _key_lines(key, meaning, width)]
        return "\n".join(lines)


def _key_lines(key: str, meaning: str, width: int) -> Iterator[str]:
    column = _INDENT if width < _STACKED else _COLUMN
    start = f"  --{key}"
    if len(start) >= column - 1:
        yield start
        start = ""
    for number, line in enumerate(wrap(meaning, width - column) or [""]):
        yield f"{start if number == 0 else '':<{column}}{line}"


def parameters(
    component: Callable[..., Any], prefix: str = "", skip: frozenset[str] = frozenset()
) -> Iterator[tuple[str, str]]:
    """The parameters of a function or class but those in `skip`: the key, and its docstring, type and default."""
    texts = argument_texts(component)
    types = argument_types(component)
    for name, parameter in signature(component).parameters.items():
        if name not in skip | {"self"}:
            meaning = re.sub(r"\bNone\b", "null", texts.get(name, "").replace("`", ""))  # as one writes it in YAML
            yield f"{prefix}.{name}".lstrip("."), f"{meaning} ({_kind(types[name], parameter.default)})".lstrip()


def _kind(type_hint: Any, default: Any) -> str:
    """Type and default, as one writes them in YAML."""
    kind = type_name(type_hint)
    if default is Parameter.empty:
        return f"{kind}, required"
    default = str(default).lower() if isinstance(default, bool) else default
    return kind if default is None else f"{kind}, default {default}"


def type_name(hint: Any) -> str:
    """A type in the words of YAML.

    Example:
        >>> type_name(int | Literal["auto"] | None), type_name(tuple[float, float, float])
        ('int | auto | null', '[float, float, float]')
    """
    origin, inner = get_origin(hint), get_args(hint)
    if hint is types.NoneType:
        return "null"
    if origin in (Union, types.UnionType):
        return " | ".join(dict.fromkeys(map(type_name, inner)))
    if origin is Literal:
        return " | ".join(map(str, inner))
    if origin is tuple:
        return f"[{', '.join('...' if one is Ellipsis else type_name(one) for one in inner)}]"
    if origin is list:
        return f"[{type_name(inner[0])}, ...]"
    if origin is dict:
        return f"{{{type_name(inner[0])}: {type_name(inner[1])}}}"
    if origin is collections.abc.Callable:
        return "class or function"
    if origin is type:
        return f"class of a {type_name(inner[0])}"
    return hint.__name__ if isinstance(hint, type) else "any"
