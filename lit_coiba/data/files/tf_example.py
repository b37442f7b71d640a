"""``tf.train.Example``, a protocol buffer of named values, read without TensorFlow and without what is not asked for.

    message Example  { Features features = 1; }
    message Features { map<string, Feature> feature = 1; }
    message Feature  { oneof kind { BytesList bytes_list = 1; FloatList float_list = 2; Int64List int64_list = 3; } }

The lists have their values as field 1; whole numbers may be packed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from lit_coiba.data.files.tf_record import Take

_FIXED = {1: 8, 5: 4}  # bytes of a value by its wire type
_VARINT, _TEXT = 0, 2  # wire types
_LONGEST = 10  # bytes of a varint
_NAME = 200  # bytes of the name of a feature that is looked at
_BYTES, _WHOLE = 1, 3  # fields of a feature


class Span(NamedTuple):
    """Some bytes of a content."""

    start: int
    end: int


Value = Span | int


class Feature(NamedTuple):
    """The first value of a feature; None = it has none of that kind."""

    content: Span | None = None
    number: int | None = None


def features_of(take: Take, whole: Span, wanted: Collection[str]) -> dict[str, Feature]:
    """Some features of an example by their names; where contents lie is told, and they are not read.

    Args:
        take: Function that reads bytes.
        whole: Where the example lies.
        wanted: Names of the features that are looked at.

    Raises:
        ValueError: It is none; one clause.
    """
    found: dict[str, Feature] = {}
    for features in _spans(take, whole, 1):
        for entry in _spans(take, features, 1):
            parts = {field: value for field, value in _fields(take, entry) if isinstance(value, Span)}
            if 1 not in parts or 2 not in parts or parts[1].end - parts[1].start > _NAME:
                continue
            name = take(parts[1].start, parts[1].end - parts[1].start).decode("utf-8", "replace")
            if name in wanted:
                found[name] = _feature(take, parts[2])
    return found


def _feature(take: Take, span: Span) -> Feature:
    content = number = None
    for field, value in _fields(take, span):
        if isinstance(value, Span) and field == _BYTES:
            content = next(_spans(take, value, 1), content)
        elif isinstance(value, Span) and field == _WHOLE:
            number = next(_numbers(take, value), number)
    return Feature(content, number)


def _numbers(take: Take, span: Span) -> Iterator[int]:
    """Signed whole numbers of 64 bits, one by one or packed."""
    for field, value in _fields(take, span):
        if field != 1:
            continue
        if isinstance(value, int):
            yield _signed(value)
        else:
            at = value.start
            while at < value.end:
                number, at = _varint(take, at, value.end)
                yield _signed(number)


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number


def _spans(take: Take, span: Span, field: int) -> Iterator[Span]:
    """The values of a field that are texts or messages."""
    for number, value in _fields(take, span):
        if number == field:
            if not isinstance(value, Span):
                raise ValueError(f"field {field} at byte {span.start} is no message")
            yield value


def _fields(take: Take, span: Span) -> Iterator[tuple[int, Value]]:
    """Numbers and values of the fields of a message, in order."""
    at = span.start
    while at < span.end:
        tag, at = _varint(take, at, span.end)
        field, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _varint(take, at, span.end)
            yield field, value
            continue
        if kind == _TEXT:
            length, at = _varint(take, at, span.end)
        elif kind in _FIXED:
            length = _FIXED[kind]
        else:
            raise ValueError(f"a field at byte {at} has the unknown wire type {kind}")
        if length > span.end - at:
            raise ValueError(f"a field at byte {at} is longer than its message")
        yield field, Span(at, at + length)
        at += length


def _varint(take: Take, at: int, end: int) -> tuple[int, int]:
    """A number of 64 bits, seven bits a byte, and where it ends."""
    number = 0
    for place, byte in enumerate(take(at, min(_LONGEST, end - at))):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return number & ((1 << 64) - 1), at + place + 1
    raise ValueError(f"a number at byte {at} does not end")
