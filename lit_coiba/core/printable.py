"""Text from files and names, as it may be shown: nothing in it moves a cursor, turns a line around or ends it."""

from __future__ import annotations

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
