"""Text from files and names, as it may be shown: nothing in it moves a cursor, turns a line around or ends it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MORE = "..."


def printable(text: object, limit: int | None = None) -> str:
    """`text` in one line with everything that is not printable escaped, as Python writes it.

    Control characters, line ends, marks of direction and lone surrogates become ``\\x1b``, ``\\n``, ``\\u202e``,
    ``\\udcff``; letters of any script stay.

    Args:
        text: Anything with a string form.
        limit: The most characters to keep; what is longer ends in "...".

    Example:
        >>> printable("cat\\x1b]0;owned\\x07.png")
        'cat\\\\x1b]0;owned\\\\x07.png'
    """
    string = str(text)
    if limit is not None and len(string) > limit:
        string = string[: limit - len(_MORE)] + _MORE
    if string.isprintable():
        return string
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in string)


def described(value: Any, limit: int = 80) -> str:
    """A value from a file for a message, however large, deep or endless: plain values as they are, else their kind.

    Args:
        value: Anything.
        limit: The most characters.

    Example:
        >>> described({"lr": [0.1, "a"]}), described(10**5000), described(object())
        ("{'lr': [0.1, 'a']}", 'a number of 16,610 bits', 'a value of type object')
    """
    return printable(_brief(value, limit, 3), limit)


def _brief(value: Any, limit: int, depth: int) -> str:
    if isinstance(value, str):
        return repr(value[:limit])
    if isinstance(value, int) and value.bit_length() > 256:
        return f"a number of {value.bit_length():,} bits"
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    few = limit // 4
    if isinstance(value, Mapping):
        if depth == 0:
            return "{...}" if value else "{}"
        pairs = list(zip(range(few), value.items()))
        inside = ", ".join(f"{_brief(k, limit, depth - 1)}: {_brief(v, limit, depth - 1)}" for _, (k, v) in pairs)
        return f"{{{inside}{', ...' * (len(value) > few)}}}"
    if type(value) in (list, tuple):
        if depth == 0:
            return "[...]" if value else "[]"
        inside = ", ".join(_brief(part, limit, depth - 1) for part in value[:few])
        return f"[{inside}{', ...' * (len(value) > few)}]"
    return f"a value of type {type(value).__name__}"
