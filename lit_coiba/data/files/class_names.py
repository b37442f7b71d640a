"""The classes of a dataset: their names in index order, and what else a class may be called in a file."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.data.files.csv_file import read_csv
from lit_coiba.files.regular import read_text

_NO_LABEL = ("", "-1", "-1.0")  # .0 is what pandas makes of an integer column with gaps
_MOST_CLASSES = 1_000_000
_WHOLE = re.compile(r"[0-9]+(\.0)?")
_SHOWN = 60  # characters of a name in a message


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
        self._twice = frozenset(twice)
        self._composed: dict[str, int | None] = {}  # file systems differ in how they write an accent
        for name, index in self._indices.items():
            key = _composed(name)
            self._composed[key] = index if self._composed.get(key, index) == index else None

    @classmethod
    def read(cls, path: Path) -> ClassNames:
        """Class names from a text file with one name a line, or from a CSV with a header.

        In a CSV, the column ``index`` (else the order of the rows) gives the index, ``name`` (else the last column)
        the name; a value of any other column is an alias, where only one class has it.

        Raises:
            InputError: The file is missing, unreadable or empty, or its indices are not 0 ... K-1.
        """
        if path.suffix.lower() != ".csv":
            lines = read_text(path, "classes").replace("\r", "\n").split("\n")
            names = [line.strip() for line in lines if line.strip()]
            if names and names[0].startswith(("[", "{")) and names[-1].endswith(("]", "}")):
                raise InputError(f"classes: {path} is JSON: write the names in index order, one a line, in a text file")
            if not names:
                raise InputError(f"classes: {path} is empty; it should have one class name per line")
            return cls(names)
        rows = list(read_csv(path, "classes"))
        if len(rows) < 2:
            raise InputError(f"classes: {path} has no rows; it should have a header and one row per class")
        return cls._from_rows(rows[0][1], rows[1:], path)

    @classmethod
    def _from_rows(cls, header: list[str], rows: list[tuple[int, list[str]]], path: Path) -> ClassNames:
        column = header.index("name") if "name" in header else len(header) - 1
        for line, row in rows:
            where = f"classes: line {line} of {path}"
            if len(row) != len(header):
                raise InputError(f"{where} does not have as many fields as the header")
            if not row[column].strip():
                raise InputError(f"{where} has no name of a class")
        ordered = [row for _, row in rows]
        at = header.index("index") if "index" in header else None
        if at is not None:
            if sorted(row[at].strip() for row in ordered) != sorted(map(str, range(len(rows)))):
                raise InputError(f"classes: the index column of {path} does not have each of 0 to {len(rows) - 1} once")
            ordered.sort(key=lambda row: int(row[at]))
        aliases = [
            (value, index)
            for index, row in enumerate(ordered)
            for number, value in enumerate(row)
            if value and number not in (at, column)
        ]
        return cls([row[column] for row in ordered], aliases)

    @classmethod
    def shown_by(cls, labels: Mapping[str, str]) -> ClassNames:
        """The classes as labels in a table show them: whole numbers are indices, all else names in sorted order.

        Args:
            labels: Label -> what to name in an error about it, such as its line.

        Raises:
            InputError: Some are numbers, and others look like typing errors.
        """
        labels = {label: where for label, where in labels.items() if label not in _NO_LABEL}
        numbers = [label for label in labels if cls.is_number(label)]
        others = [label for label in labels if not cls.is_number(label)]
        strange = [label for label in others if _is_numeric(label)]
        if strange or (numbers and others and len(numbers) >= len(others)):
            odd = (strange or others)[0]
            beside = f", and other labels are class numbers, such as {numbers[0]}" if numbers else ""
            raise InputError(
                f"{labels[odd]}: the label {printable(odd, _SHOWN)!r} is no class number (0, 1, ...; -1 or nothing ="
                f" none){beside}: correct it, or give the names of all classes as classes"
            )
        if others:
            return cls(sorted(labels))
        largest = max(numbers, key=float, default="0")
        if float(largest) >= _MOST_CLASSES:
            shown = printable(largest, _SHOWN)
            raise InputError(f"{labels[largest]}: class {shown} is larger than any class number: check it")
        return cls([])

    def index(self, text: str) -> int:
        """The index of a class given by name, alias or number; empty text and -1 mean no label.

        A name is looked for as it is first, then without blanks around it, and with accents written otherwise.

        Raises:
            InputError: There is no such class.
        """
        for name in (text, text.strip()):
            if name in self._indices:
                return self._indices[name]
        text = text.strip()
        if text in _NO_LABEL:
            return -1
        if (found := self._composed.get(_composed(text))) is not None:
            return found
        shown = repr(printable(text, _SHOWN))
        if text in self._twice:
            raise InputError(f"{shown} is the name of several classes: give each class a name of its own as classes")
        if not self.numbers or not self.is_number(text):
            known = ", ".join(printable(name, _SHOWN) for name in self.names[:5])
            more = ", ..." if len(self.names) > 5 else ""
            told = f"none of the {len(self.names)} classes ({known}{more})" if self.names else "not a class number"
            raise InputError(f"{shown} is {told}: check it, or give a file with all class names as classes")
        if self.names and float(text) >= len(self.names):
            raise InputError(f"class {printable(text, _SHOWN)} is outside 0 to {len(self.names) - 1}")
        if float(text) >= _MOST_CLASSES:
            raise InputError(f"class {printable(text, _SHOWN)} is larger than any class number: check it")
        return int(float(text))

    def has(self, name: str) -> bool:
        """Whether a class has this name."""
        return name in self._indices or self._composed.get(_composed(name)) is not None

    @staticmethod
    def is_number(text: str) -> bool:
        """Whether a text stands for a class by its index, or for no class."""
        return text in _NO_LABEL or _WHOLE.fullmatch(text) is not None


def told_alike(names: Sequence[str]) -> str | None:
    """The sentence about two classes whose names look the same, such as Cat and cat; None where all differ."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(" ".join(_composed(name).casefold().split()), name)
        if other != name:
            how = "in how their accents are written" if _composed(other) == _composed(name) else "in case or blanks"
            return (
                f"{printable(other, _SHOWN)!r} and {printable(name, _SHOWN)!r} differ only {how}, and are two classes:"
                " give them one name if they are one"
            )
    return None


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip())


def _is_numeric(text: str) -> bool:
    """Whether a label that is no class number was meant as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
