"""JSON from files: typed, bounded, and never deeper than a program can follow."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.files.regular import TEXT_LIMIT, clause, read_bytes

_SURROGATE = "surrogate"  # in msgspec's message about one that stands alone


def decode_json(content: bytes | str, kind: Any = Any) -> Any:
    """The value in a JSON text, of the type `kind`.

    Args:
        content: The text.
        kind: Any type that `msgspec` knows: a ``Struct``, a ``TypedDict``, ``dict[str, int]``, ...

    Raises:
        ValueError: It is no JSON, is nested too deeply, or has another type; the message says so in one clause.

    Example:
        >>> decode_json('{"a": [1]}', dict[str, list[int]])
        {'a': [1]}
    """
    try:
        return msgspec.json.decode(content, type=kind)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (msgspec.MsgspecError, ValueError) as error:
        if _SURROGATE in str(error):  # a name of bytes that are no text, as Python holds it
            return typed(_with_surrogates(content), kind)
        raise ValueError(printable(error, 200)) from None


def _with_surrogates(content: bytes | str) -> Any:
    """The value in a JSON text with lone surrogates, which msgspec refuses.

    Raises:
        ValueError: It is no JSON, or is nested too deeply.
    """
    try:
        return json.loads(content, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def typed(value: Any, kind: Any) -> Any:
    """A plain value, such as a part of a JSON text, as the type `kind`.

    Raises:
        ValueError: It has another type.
    """
    try:
        return msgspec.convert(value, kind)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise ValueError(printable(error, 200)) from None


def read_json(path: str | os.PathLike[str], kind: Any, what: str, limit: int = TEXT_LIMIT) -> Any:
    """The value in a JSON file, of the type `kind`.

    Args:
        path: The file.
        kind: The type.
        what: What to call it in an error.
        limit: The most bytes that it may have.

    Raises:
        FileNotFoundError, NotADirectoryError: There is no such file.
        InputError: It cannot be read, is no JSON, or has another type.
    """
    try:
        return decode_json(read_bytes(Path(path), limit), kind)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise InputError(f"{what}: {printable(path)} cannot be read: {clause(error)}") from error
    except ValueError as error:
        raise InputError(f"{what}: {printable(path)} is damaged ({error})") from error
