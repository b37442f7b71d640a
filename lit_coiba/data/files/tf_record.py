"""TFRecord files, read without TensorFlow: where records begin, and one record without the others.

A record is its length (8 bytes), the checksum of the length (4), the content, and the checksum of the content (4), all
little-endian; checksums are masked CRC-32C.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from lit_coiba.core.printable import printable
from lit_coiba.files.crc32c import masked_crc32c
from lit_coiba.files.regular import MEGABYTE, clause, open_regular

Take = Callable[[int, int], bytes]  # first byte, number of bytes -> these bytes of a content

_HEAD, _TAIL = struct.Struct("<QI"), struct.Struct("<I")
_LARGEST = 64 * MEGABYTE  # of one record


class Record(NamedTuple):
    """Where a record is."""

    start: int  # of its content, in bytes
    length: int
    checksum: int  # of the content, masked


def list_records(file: Path) -> list[Record]:
    """All records of a file; their lengths are checked, their contents are not read.

    Raises:
        OSError: It cannot be read, is cut off, or is none; one clause names it.
    """
    name, found, at = printable(file, 200), list[Record](), 0
    with taking(file) as (take, size):
        while at < size:
            head = take(at, _HEAD.size)
            if len(head) < _HEAD.size:
                raise OSError(_cut(name, len(found), size))
            length, checksum = _HEAD.unpack(head)
            if masked_crc32c(head[:8]) != checksum:
                what = "no TFRecord file" if not found else f"damaged where record {len(found)} begins, at byte {at}"
                raise OSError(f"{name} is {what}: copy it again")
            if length > _LARGEST:
                raise OSError(f"record {len(found)} of {name} has {length:,} bytes, more than {_LARGEST:,}")
            start, at = at + _HEAD.size, at + _HEAD.size + length + _TAIL.size
            if at > size:
                raise OSError(_cut(name, len(found), size))
            found.append(Record(start, length, _TAIL.unpack(take(at - _TAIL.size, _TAIL.size))[0]))
    return found


def read_record(file: Path, record: Record) -> bytes:
    """The content of a record.

    Raises:
        OSError: The file cannot be read, or the content is not what its checksum is of; one clause.
    """
    with taking(file) as (take, _):
        content = take(record.start, record.length)
    if len(content) < record.length or masked_crc32c(content) != record.checksum:
        raise OSError(f"the record at byte {record.start} of {printable(file, 200)} is damaged: copy the file again")
    return content


@contextmanager
def taking(file: Path) -> Iterator[tuple[Take, int]]:
    """A function that reads some bytes of a file, and how many it has.

    Raises:
        OSError: It cannot be read; one clause.
    """
    try:
        with open_regular(file) as opened:
            number = opened.fileno()
            yield lambda start, length: os.pread(number, length, start), os.fstat(number).st_size
    except OSError as error:
        if error.errno is None:  # one of ours
            raise
        raise OSError(f"{printable(file, 200)} cannot be read: {clause(error)}") from error


def _cut(name: str, records: int, size: int) -> str:
    return f"{name} is cut off after {records} whole records, in its {size:,} bytes: copy it again"
