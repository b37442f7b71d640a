"""How a help page looks: text and keys, section by section."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from inspect import Parameter, signature
from shutil import get_terminal_size
from textwrap import wrap
from typing import Any, get_type_hints

from lit_coiba.cli.pages.docstrings import argument_texts

_COLUMN = 34  # where explanations begin


class Page:
    """Text put together section by section.

    Args:
        usage: How the command is written.
        text: What it does.
    """

    def __init__(self, usage: str, text: str) -> None:
        self.width = min(get_terminal_size().columns, 120)
        self.lines = [f"usage: lit-coiba {usage}", "", *wrap(text, self.width)]

    def section(self, title: str, text: str) -> None:
        """A block of text, as it is."""
        self.lines += ["", *wrap(f"{title}:", self.width, subsequent_indent="  "), *text.splitlines()]

    def keys(self, title: str, keys: Iterator[tuple[str, str]]) -> None:
        """Keys and what they mean."""
        self.section(title, "")
        for key, meaning in keys:
            lines = wrap(meaning, self.width - _COLUMN)
            start = f"  --{key}"
            if len(start) >= _COLUMN - 1:
                self.lines.append(start)
                start = ""
            self.lines += [f"{start if i == 0 else '':<{_COLUMN}}{line}" for i, line in enumerate(lines or [""])]

    def __str__(self) -> str:
        return "\n".join(self.lines)


def parameters(
    component: Callable[..., Any], prefix: str = "", skip: frozenset[str] = frozenset()
) -> Iterator[tuple[str, str]]:
    """The parameters of a function or class but those in `skip`: the key, and its docstring, type and default."""
    texts = argument_texts(component)
    types = get_type_hints(getattr(component, "__init__") if isinstance(component, type) else component)  # noqa: B009
    for name, parameter in signature(component).parameters.items():
        if name not in skip | {"self"}:
            meaning = texts.get(name, "").replace("`", "")
            yield f"{prefix}.{name}".lstrip("."), f"{meaning} ({_kind(types[name], parameter.default)})"


def _kind(type_hint: Any, default: Any) -> str:
    """Type and default, as one writes them in YAML."""
    kind = type_hint.__name__ if isinstance(type_hint, type) else str(type_hint).replace("typing.", "")
    kind = re.sub(r"Optional\[(.*)\]$", r"\1 | None", kind)
    kind = re.sub(r"Literal\[(.*?)\]", lambda found: found[1].replace("'", "").replace(", ", " | "), kind)
    kind = kind.replace("None", "null")
    if default is Parameter.empty:
        return f"{kind}, required"
    default = str(default).lower() if isinstance(default, bool) else default
    return kind if default is None else f"{kind}, default {default}"
