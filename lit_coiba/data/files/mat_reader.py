"""A reader of MATLAB files (MAT-file Level 5) that trusts no length in them.

Parsers in C have read beyond their buffers on damaged files, which ends the process. This one reads what releases of
datasets hold: numbers, texts, cells and structs; MathWorks, MAT-File Format, R2023b.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import numpy as np

_HEADER = 128  # bytes
_MOST = 1 << 26  # bytes of a variable, inflated
_DEEPEST = 16
_MATRIX, _COMPRESSED = 14, 15  # kinds of elements
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CELL, _STRUCT, _CHAR, _FIRST_NUMBER, _LAST_NUMBER = 1, 2, 4, 6, 15  # classes of arrays


class _Element(NamedTuple):
    kind: int
    start: int
    stop: int
    next: int


def read_variables(content: bytes, names: Collection[str]) -> dict[str, Any]:
    """Variables of a MATLAB file: lists of numbers, of texts, of values, or of structs as dictionaries.

    An array of one value is this value; a row of characters is a text.

    Args:
        content: The file.
        names: The variables that are read; others are skipped.

    Raises:
        ValueError: The content is no such file, damaged, or larger than any release; one clause.
    """
    mark = content[126:128]
    if content[:10] == b"MATLAB 7.3":
        raise ValueError("it has the format of version 7.3: save it with -v7")
    if mark not in (b"IM", b"MI"):
        raise ValueError("it is no MATLAB file of version 5 to 7")
    order = "<" if mark == b"IM" else ">"
    found = {}
    whole = _Reader(content, order)
    for element in whole.elements(_HEADER, len(content)):
        reader, matrix = whole, element
        if element.kind == _COMPRESSED:
            reader = _Reader(_inflated(content[element.start : element.stop]), order)
            matrix = reader.element(0, len(reader.content))
        if matrix.kind == _MATRIX and (name := reader.name(matrix)) in names:
            found[name] = reader.matrix(matrix)
    return found


def _inflated(content: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        inflated = inflater.decompress(content, _MOST)
    except zlib.error as error:
        raise ValueError(f"it is damaged ({error})") from error
    if inflater.unconsumed_tail:
        raise ValueError("a variable has more than 64 MB")
    if not inflater.eof:
        raise ValueError("it is damaged (a variable ends too early)")
    return inflated


class _Reader:
    def __init__(self, content: bytes, order: str) -> None:
        self.content = content
        self.order = order

    def elements(self, at: int, end: int) -> Iterator[_Element]:
        while at < end:
            element = self.element(at, end)
            yield element
            at = element.next

    def element(self, at: int, end: int) -> _Element:
        if at + 8 > end:
            raise ValueError("it is damaged (a part ends too early)")
        first, size = struct.unpack_from(f"{self.order}II", self.content, at)
        start = at + 8
        if first >> 16:  # at most four bytes, within the tag
            first, size, start = first & 0xFFFF, first >> 16, at + 4
        stop = start + size
        if stop > end or (start == at + 4 and size > 4):
            raise ValueError("it is damaged (a part is longer than what holds it)")
        padded = stop if first == _COMPRESSED else start + -(-size // 8) * 8
        return _Element(first, start, stop, at + 8 if start == at + 4 else min(padded, end))

    def name(self, matrix: _Element) -> str:
        if matrix.start == matrix.stop:
            return ""
        parts = self.elements(matrix.start, matrix.stop)
        next(parts), next(parts)
        name = next(parts)
        return self.content[name.start : name.stop].decode("latin-1")

    def matrix(self, matrix: _Element, depth: int = 0) -> Any:
        if matrix.kind != _MATRIX or depth > _DEEPEST:
            raise ValueError("it is damaged (values inside one another)")
        if matrix.start == matrix.stop:
            return []
        parts = self.elements(matrix.start, matrix.stop)
        try:
            flags, shape, _ = next(parts), self.numbers(next(parts)), next(parts)
            kind = self.numbers(flags)[0] & 0xFF
            if min(shape) < 0:
                raise ValueError("it is damaged (a negative size)")
            count = int(np.prod([int(side) for side in shape], dtype=object))
            return self._values(kind, count, shape, parts, depth)
        except (StopIteration, IndexError, OverflowError) as error:
            raise ValueError("it is damaged (a part is missing)") from error

    def _values(self, kind: int, count: int, shape: list[Any], parts: Iterator[_Element], depth: int) -> Any:
        if kind == _CHAR:
            text = self.text(next(parts))
            rows = int(shape[0])
            return text if rows <= 1 else [text[row::rows] for row in range(min(rows, len(text)))]
        if _FIRST_NUMBER <= kind <= _LAST_NUMBER:
            return _squeezed(self.numbers(next(parts)))
        if kind == _CELL:
            return [self.matrix(part, depth + 1) for part in parts][:count]
        if kind == _STRUCT:
            length = int(self.numbers(next(parts))[0])
            listed = next(parts)
            joined = self.content[listed.start : listed.stop]
            if length < 1:
                raise ValueError("it is damaged (names without a length)")
            names = [joined[k : k + length].split(b"\0")[0].decode("latin-1") for k in range(0, len(joined), length)]
            values = [self.matrix(part, depth + 1) for part in parts]
            if len(values) != count * len(names):
                raise ValueError("it is damaged (a struct without all its fields)")
            width = max(len(names), 1)
            return [dict(zip(names, values[k : k + width])) for k in range(0, len(values), width)]
        raise ValueError("it has values that are neither numbers, texts, cells nor structs")

    def numbers(self, element: _Element) -> list[Any]:
        if element.kind not in _NUMBERS:
            raise ValueError("it is damaged (an unknown kind of number)")
        kind = np.dtype(self.order + _NUMBERS[element.kind])
        content = self.content[element.start : element.stop]
        if len(content) % kind.itemsize:
            raise ValueError("it is damaged (half a number)")
        values: list[Any] = np.frombuffer(content, kind).tolist()
        return values

    def text(self, element: _Element) -> str:
        if element.kind not in _TEXTS:
            raise ValueError("it is damaged (an unknown kind of text)")
        encoding = _TEXTS[element.kind]
        if encoding in ("utf-16", "utf-32"):
            encoding += "-le" if self.order == "<" else "-be"
        return self.content[element.start : element.stop].decode(encoding)


def _squeezed(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values
