"""What the value of a key has to be, in plain words, from the type and the docstring of the argument."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any, Literal, Union, get_args, get_origin

from lit_coiba.cli.pages.docstrings import argument_texts, argument_types
from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable

_PLAIN = {int: "an integer", float: "a number", bool: "true or false", str: "text", types.NoneType: "null"}
_ENTRIES = {int: ("integers", "224"), float: ("numbers", "0.5"), str: ("texts", "a")}
_MEANING = 160  # characters
_PATH = re.compile(r"(?:\w+ )?(?:File|Folder|Checkpoint|CSV)\b", re.IGNORECASE)


@dataclass(frozen=True)
class KeyArguments:
    """The arguments that keys stand for.

    Args:
        components: What is called with them, by the key that they are below: ``data`` -> `ImageFolder`.
    """

    components: Mapping[str, Callable[..., Any]]

    def all(self) -> Iterator[str]:
        """All keys."""
        for prefix, component in self.components.items():
            yield from (f"{prefix}.{name}".lstrip(".") for name in signature(component).parameters if name != "self")

    def expected(self, key: str) -> str | None:
        """What the value of a key has to be, such as "an integer, or null"; None where that is not known."""
        component, name = self._argument(key)
        if component is None:
            return None
        hints: dict[str, Any] = {}
        with suppress(Exception):  # of the user's own class: names that are there for a type checker only
            hints = argument_types(component)
        if name not in hints:
            return None
        wanted = expectation(hints[name])
        return wanted.replace("text", "a path") if _PATH.match(self.meaning(key)) else wanted

    def meaning(self, key: str) -> str:
        """What a key is, the first clause of its docstring; empty where there is none."""
        component, name = self._argument(key)
        if component is None or not component.__module__.startswith(__name__.partition(".")[0]):
            return ""  # Lightning's are paragraphs
        text = argument_texts(component).get(name, "").replace("`", "")
        return printable(re.split(r"[;.](?:\s|$)", text, maxsplit=1)[0], _MEANING)

    def default(self, key: str) -> Any:
        """Default of a key's argument; `Parameter.empty` where there is none, or the argument is not known."""
        component, name = self._argument(key)
        return Parameter.empty if component is None else signature(component).parameters[name].default

    def refuses_null(self, key: str) -> bool:
        """Whether a key is known to need a value."""
        expected, default = self.expected(key), self.default(key)
        if expected is None or expected.endswith("null") or expected == "anything":
            return False
        return default is not None and default is not Parameter.empty

    def _argument(self, key: str) -> tuple[Callable[..., Any] | None, str]:
        prefix, _, name = key.rpartition(".")
        component = self.components.get(prefix)
        known = component is not None and name in signature(component).parameters
        return (component if known else None), name


def expectation(hint: Any) -> str:
    """A type in plain words, with an example where it is not one word.

    Example:
        >>> expectation(int | None)
        'an integer, or null'
        >>> expectation(tuple[float, float, float])
        '3 numbers in a list, such as "[0.5, 0.5, 0.5]"'
    """
    if hint in _PLAIN:
        return _PLAIN[hint]
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        given = [expectation(one) for one in inner if one is not types.NoneType]
        return " or ".join(dict.fromkeys(given)) + (", or null" if len(given) < len(inner) else "")
    if origin is Literal:
        return " or ".join(map(str, inner))
    if origin is tuple and inner and inner[-1] is not Ellipsis:
        entries, example = _ENTRIES.get(inner[0], ("values", "a"))
        return f'{len(inner)} {entries} in a list, such as "[{", ".join([example] * len(inner))}]"'
    if origin in (list, tuple, set) or hint in (list, tuple):
        return 'a list, such as "[a, b]"'
    if origin is dict or hint is dict:
        return 'a mapping, such as "{name: value}"'
    if origin is type or isinstance(hint, type):
        kind = inner[0] if origin is type and inner else hint
        return f"the name of a class, {getattr(kind, '__name__', 'module.Class')}, or module.Class"
    return "anything"


def check_values(config: Any, arguments: KeyArguments) -> None:
    """Refuse what the parser lets through: null where there must be a value, empty text, a seed that is out of range.

    Raises:
        InputError: There is such a value.
    """
    for key in arguments.all():
        parent, _, name = key.rpartition(".")
        node = config.get(parent, {}) if parent else config
        node = node.get("init_args", node) if node else {}
        if name in node and node[name] is None and arguments.refuses_null(key):
            raise InputError(f"--{key} expects {arguments.expected(key)}, got null")
        if name in node and node[name] == "" and arguments.default(key) != "":
            raise InputError(f"--{key} is empty: give {arguments.expected(key) or 'a value'}, or leave out the key")
    for key, value in config.items():
        check_word(str(key), value)
    seed = config.get("seed_everything")
    if isinstance(seed, int) and not isinstance(seed, bool) and not 0 <= seed < 2**32:
        raise InputError(f"--seed_everything is {seed}: give an integer from 0 to {2**32 - 1}")


def check_word(key: str, value: Any) -> None:
    """Refuse a text that no path and no name can be.

    Raises:
        InputError: It has a NUL in it.
    """
    if isinstance(value, str) and "\0" in value:
        raise InputError(f"{key} is {printable(value, _MEANING)!r}, which has a NUL character in it: leave it out")
