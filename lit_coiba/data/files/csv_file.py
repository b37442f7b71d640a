"""CSV files as rows of fields, with the numbers of their lines."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.files.regular import MEGABYTE, clause, open_regular

_MOST = 1024 * MEGABYTE  # of a table; it is read line by line
_KINDS = {  # first bytes -> what such a file is
    b"PK\x03\x04": "an Excel file or another archive",
    b"\xd0\xcf\x11\xe0": "an Excel file",
    b"PAR1": "a Parquet file",
    b"\x1f\x8b": "a compressed file",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}


def read_csv(path: Path, what: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV that are not empty, each with the number of its last line, from 1.

    Args:
        path: The file, UTF-8.
        what: Argument that names it, for errors.

    Raises:
        InputError: It cannot be read, is larger than 1 GB, is no UTF-8, or no CSV.
    """
    try:
        with open_regular(path) as file:
            if os.fstat(file.fileno()).st_size > _MOST:
                raise InputError(f"{what}: {path} has more than 1 GB, which no table of images has: split it")
            start = file.read(4)
            file.seek(0)
            if kinds := [kind for mark, kind in _KINDS.items() if start.startswith(mark)]:
                raise InputError(f"{what}: {path} is {kinds[0]}, not a CSV: save it as CSV, UTF-8")
            reader = csv.reader(io.TextIOWrapper(file, encoding="utf-8-sig", newline=""))
            for row in reader:
                if row:
                    yield reader.line_num, row
    except OSError as error:
        raise InputError(f"{what}: cannot read {printable(path, 200)}: {clause(error)}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{what}: cannot read {path}: it is not UTF-8 text; save it as UTF-8") from error
    except csv.Error as error:
        raise InputError(f"{what}: cannot read {path}: it is no CSV ({error})") from error
