"""The classes of a dataset: their names in index order, and what else a class may be called in a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from lit_coiba.core.errors import InputError

_NO_LABEL = ("", "-1", "-1.0")  # .0 is what pandas makes of an integer column with gaps


class ClassNames:
    """Names in index order; empty if they are unknown, and a class is then known only by its index.

    Args:
        names: Class names, in index order.
        aliases: Other names of a class, such as its WordNet id, each with the index of the class.
        numbers: Whether a class may also be given by its index.
    """

    def __init__(self, names: list[str], aliases: Iterable[tuple[str, int]] = (), numbers: bool = True) -> None:
        self.names = names
        self.numbers = numbers
        self._indices: dict[str, int] = {}
        twice: set[str] = set()
        for name, index in [*((name, index) for index, name in enumerate(names)), *aliases]:
            if self._indices.setdefault(name, index) != index:
                twice.add(name)
        for name in twice:  # two classes called crane: only their aliases tell them apart
            del self._indices[name]

    @classmethod
    def read(cls, path: Path) -> ClassNames:
        """Class names from a text file with one name a line, or from a CSV with a header.

        In a CSV, the column ``index`` (else the order of the rows) gives the index, ``name`` (else the last column)
        the name; a value of any other column is an alias, where only one class has it.

        Raises:
            InputError: The file is missing, unreadable or empty, or its indices are not 0 ... K-1.
        """
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"classes: cannot read {path}: {error}") from error
        if path.suffix.lower() != ".csv":
            names = [line.strip() for line in text.split("\n") if line.strip()]
            if not names:
                raise InputError(f"classes: {path} is empty; it should have one class name per line")
            return cls(names)
        return cls._from_rows(list(csv.DictReader(io.StringIO(text, newline=""))), path)

    @classmethod
    def _from_rows(cls, rows: list[dict[str, str]], path: Path) -> ClassNames:
        if not rows:
            raise InputError(f"classes: {path} has no rows; it should have a header and one row per class")
        for number, row in enumerate(rows, start=1):
            if None in row or None in row.values():  # csv's way to say too many, too few fields
                raise InputError(f"classes: row {number} of {path} does not have as many fields as the header")
        if "index" in rows[0]:
            if sorted(str(row["index"]) for row in rows) != sorted(map(str, range(len(rows)))):
                raise InputError(f"classes: the index column of {path} does not have each of 0 to {len(rows) - 1} once")
            rows.sort(key=lambda row: int(row["index"]))
        column = "name" if "name" in rows[0] else list(rows[0])[-1]
        aliases = [
            (value, index)
            for index, row in enumerate(rows)
            for key, value in row.items()
            if value and key not in ("index", column)
        ]
        return cls([row[column] for row in rows], aliases)

    def index(self, text: str) -> int:
        """The index of a class given by name, alias or number; empty text and -1 mean no label.

        Raises:
            InputError: There is no such class.
        """
        text = text.strip()
        if text in self._indices:
            return self._indices[text]
        if text in _NO_LABEL:
            return -1
        if not self.numbers or not self.is_number(text):
            known = ", ".join(self.names[:5]) + (", ..." if len(self.names) > 5 else "")
            told = f"none of the {len(self.names)} classes ({known})" if self.names else "not a class number"
            raise InputError(f"{text!r} is {told}: check it, or give a file with all class names as classes")
        number = int(text.removesuffix(".0"))
        if self.names and number >= len(self.names):
            raise InputError(f"class {number} is outside 0 to {len(self.names) - 1}")
        return number

    @staticmethod
    def is_number(text: str) -> bool:
        """Whether a text stands for a class by its index, or for no class."""
        return text in _NO_LABEL or text.removesuffix(".0").isdecimal()
