"""Text from files and names, as it may be shown: nothing in it moves a cursor, turns a line around or ends it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

SENTENCE = 500  # characters of a sentence at most
_NAME = 80  # of a name in a list
_MORE = "..."
_LINE_END = re.compile(r"[ \t]*\r?\n\s*")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the start of a formula
_MARKDOWN = re.compile(r"([\\`*\[\]|])")


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


def sentence(text: object, limit: int = SENTENCE) -> str:
    """`text` as one printable line of fewer than `limit` characters: what other libraries say may have many lines.

    What is too long loses its middle: the beginning says what is wrong, and the end what to do.

    Example:
        >>> sentence("no file\\n  of this name:  give another")
        'no file of this name:  give another'
    """
    string = printable(_LINE_END.sub(" ", str(text).strip()))
    if len(string) < limit:
        return string
    end = limit * 2 // 5
    return f"{string[: limit - end - len(_MORE) - 3].rstrip()} {_MORE} {string[-end:].lstrip()}"


def listed(names: Iterable[object], shown: int = 8) -> str:
    """Names in a sentence; of many the first ones, and how many more there are.

    Example:
        >>> listed(range(1000), 3)
        '0, 1, 2 and 997 more'
    """
    known = list(names)
    more = f" and {len(known) - shown:,} more" if len(known) > shown else ""
    return ", ".join(printable(name, _NAME) for name in known[:shown]) + more


def counted(count: int, noun: str, plural: str = "") -> str:
    """A number and what it counts.

    Example:
        >>> counted(1, "image"), counted(2000, "image"), counted(0, "class", "classes")
        ('1 image', '2,000 images', '0 classes')
    """
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def a_kind(value: object) -> str:
    """The type of a value with its article.

    Example:
        >>> a_kind(1), a_kind([])
        ('an int', 'a list')
    """
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeioAEIO' else 'a'} {name}"


def csv_cell(text: object) -> str:
    """Text in a cell of a table that spreadsheets open, where it is never a formula: an apostrophe comes before one.

    Example:
        >>> csv_cell("=1+1"), csv_cell("cat.png")
        ("'=1+1", 'cat.png')
    """
    string = str(text)
    return printable(f"'{string}" if string.startswith(_FORMULA) else string)


def markdown_cell(text: object) -> str:
    """Text in a cell of a Markdown table, where it is neither markup nor HTML.

    Example:
        >>> markdown_cell("<b>a|b</b>")
        '&lt;b&gt;a\\\\|b&lt;/b&gt;'
    """
    return _MARKDOWN.sub(r"\\\1", escape(printable(text), quote=False))


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
