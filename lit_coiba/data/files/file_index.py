"""Which image files belong to a split and how they are labeled: from folders, or from a CSV."""

from __future__ import annotations

import os
import posixpath
import re
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.data.files.boxes import Box, Shares
from lit_coiba.data.files.class_names import ClassNames, told_alike
from lit_coiba.data.files.file_dataset import FileDataset
from lit_coiba.data.files.file_table import Row, read_table, told_unread
from lit_coiba.data.files.folder_layout import are_numbers, classes_in, left_out, splits_in
from lit_coiba.data.files.image_file import EXTENSIONS
from lit_coiba.data.files.listing import list_files, subfolders
from lit_coiba.data.files.splits import SPLITS, WHOLE, split_called


class Entry(NamedTuple):
    """A file, or one of the boxes of a file."""

    name: str  # relative POSIX path
    label: str  # as written in a CSV, a file name or a folder name; empty = none
    where: str  # what to name in an error about the label
    box: Box | Shares | None = None


class FileIndex(ABC):
    """The image files below a root, by split.

    Args:
        root: The folder that all names are relative to.
        names: Class names; None = inferred from the files.
        pattern: Regular expression with one group, searched in a file's name; the group is the label.

    """

    parts: tuple[str, ...]  # splits that there are; (WHOLE,) without splits

    def __init__(self, root: Path, names: ClassNames | None = None, pattern: re.Pattern[str] | None = None) -> None:
        self.root = root
        self.pattern = pattern
        self._names = names
        self._told: dict[str, list[str]] = {}  # what was looked at -> sentences for the user
        self._datasets: dict[str, FileDataset] = {}

    def dataset(self, part: str) -> FileDataset:
        """The files of a part, in the order of their ids.

        Raises:
            InputError: There is no file, or a label is not known.
        """
        if part not in self._datasets:
            labels: dict[str, int] = {}
            boxes: dict[str, list[Box | Shares]] = {}
            for entry in self.entries(part):
                label = self._index(entry)
                if labels.setdefault(entry.name, label) != label:
                    raise InputError(
                        f"{entry.where}: {printable(entry.name, 100)} has another label in an earlier line"
                    )
                if entry.box is not None:
                    boxes.setdefault(entry.name, []).append(entry.box)
            names = list(labels)
            self._datasets[part] = FileDataset(self.root, names, list(labels.values()), self.names.names, boxes)
        return self._datasets[part]

    @property
    def told(self) -> list[str]:
        """What to tell the user about the files that were looked at, a sentence each."""
        return [sentence for sentences in self._told.values() for sentence in sentences]

    @property
    def num_classes(self) -> int | None:
        """Number of class names, else one more than the highest label, else None."""
        if self.names.names:
            return len(self.names.names)
        highest = max(max(self.dataset(part).labels) for part in self.parts)
        return highest + 1 if highest >= 0 else None

    @cached_property
    def names(self) -> ClassNames:
        """The classes: given, or inferred from the files."""
        return self._names if self._names is not None else self.told_names()

    @abstractmethod
    def entries(self, part: str) -> list[Entry]:
        """What there is in a part; at least one."""

    @abstractmethod
    def told_names(self) -> ClassNames:
        """The classes, as far as the files show them."""

    def _index(self, entry: Entry) -> int:
        names = self.names  # whose own errors name a line
        try:
            return names.index(entry.label)
        except InputError as error:
            raise InputError(f"{entry.where}: {error}") from error

    def _by_pattern(self, name: str) -> tuple[str, str]:
        """Label of a file by the pattern, and what to name in an error about it."""
        assert self.pattern is not None
        found = self.pattern.search(posixpath.basename(name))
        if found is None:
            raise InputError(f"label_pattern: {self.pattern.pattern!r} does not match the file {printable(name, 100)}")
        return found[1] or "", f"label_pattern, file {printable(name, 100)}"


class FolderIndex(FileIndex):
    """What lies in the root: split folders, in them or without them class folders, in them images.

    The arguments are those of `FileIndex`.
    """

    model_classes: int | None = None  # number of the model's classes; None = unknown

    def __init__(self, root: Path, names: ClassNames | None = None, pattern: re.Pattern[str] | None = None) -> None:
        super().__init__(root, names, pattern)
        told: list[str] = []
        self.folders = splits_in(root, names, told)
        self.parts = tuple(self.folders) or (WHOLE,)
        if names is None and pattern is None:
            self._told["splits"] = told

    def understand(self, model_classes: int | None) -> None:
        """Read folders that are numbers as the classes of a model with so many."""
        if model_classes == self.model_classes:
            return
        self.model_classes = model_classes
        if "names" in self.__dict__ and are_numbers(subfolders(self._folder(self.parts[0]))):
            del self.names
            self._datasets.clear()

    def entries(self, part: str) -> list[Entry]:
        """The images in the folder of a part, labeled by pattern or class folder."""
        base = self._folder(part)
        found = list_files(base)
        by_folder = self._names is None and self.pattern is None and part == self.parts[0]  # `told_names` does
        sentence = left_out(base, found.others, found.images, not by_folder)
        if not found.images:
            raise InputError(
                f"root: {base} has no images, in it or below it (looked for {', '.join(EXTENSIONS)})"
                f"{sentence.removeprefix(f'root: of {base}').replace(',', ';', 1) if sentence else ''}"
            )
        self._told[f"files of {part}"] = [sentence] if sentence else []
        entries: list[Entry] = []
        for below in found.images:
            name = posixpath.join(self.folders.get(part, ""), below)
            if self.pattern is not None:
                label, where = self._by_pattern(name)
            else:
                label = below.split("/")[0] if "/" in below else ""
                where = f"class folder of {printable(name, 100)}"
            entries.append(Entry(name, label, where))
        return entries

    def told_names(self) -> ClassNames:
        """The class folders, of the training split where there is one, so that all splits agree."""
        if self.pattern is not None:
            return ClassNames([])
        told = self._told["names"] = []
        return classes_in(self._folder(self.parts[0]), self.model_classes, told)

    def _folder(self, part: str) -> Path:
        return self.root / self.folders[part] if part in self.folders else self.root


class PictureIndex(FileIndex):
    """One picture, which was given in the place of a folder.

    Args:
        picture: The file.
        names: Class names; None = unknown.
        pattern: As `FileIndex`.
    """

    parts = (WHOLE,)

    def __init__(self, picture: Path, names: ClassNames | None = None, pattern: re.Pattern[str] | None = None) -> None:
        super().__init__(picture.parent, names, pattern)
        self.name = picture.name

    def entries(self, part: str) -> list[Entry]:
        """The picture."""
        label, where = self._by_pattern(self.name) if self.pattern is not None else ("", self.name)
        return [Entry(self.name, label, where)]

    def told_names(self) -> ClassNames:
        """None."""
        return ClassNames([])


class TableIndex(FileIndex):
    """What a CSV lists; a file that does not exist is a failure when it is read."""

    def __init__(
        self,
        root: Path,
        table: Path,
        columns: dict[str, str] | None = None,
        names: ClassNames | None = None,
        pattern: re.Pattern[str] | None = None,
    ) -> None:
        super().__init__(root, names, pattern)
        rows = read_table(table, columns)
        if not any(os.path.lexists(root / _written(root, row)) for row in rows):
            raise InputError(
                f"csv: none of the files in {table} exists below {root} (the first is "
                f"{printable(rows[0].file, 100)}): give their common folder as root"
            )
        self._told["columns"] = told_unread(table, columns) if pattern is None else []
        self._entries: dict[str, list[Entry]] = {}
        for row in rows:
            where = f"csv: line {row.line} of {table}"
            file = _written(root, row)
            label = row.label
            if label is None:
                label, where = self._by_pattern(file) if pattern is not None else ("", where)
            part = WHOLE if row.split is None else _part_called(row.split, where)
            self._entries.setdefault(part, []).append(Entry(file, label, where, row.box))
        self.parts = tuple(part for part in (WHOLE, *SPLITS) if part in self._entries)

    def entries(self, part: str) -> list[Entry]:
        """The rows of a part."""
        return self._entries[part]

    def told_names(self) -> ClassNames:
        """Indices where the labels are numbers, else the labels in sorted order.

        Raises:
            InputError: They are numbers but for some, as `ClassNames.shown_by`.
        """
        labels: dict[str, str] = {}
        for entry in (entry for entries in self._entries.values() for entry in entries):
            labels.setdefault(entry.label, entry.where)
        names = ClassNames.shown_by(labels)
        alike = told_alike(names.names)
        self._told["names"] = [f"csv: of the labels, {alike}"] if alike else []
        return names


def _written(root: Path, row: Row) -> str:
    """The path of a row as the file system writes it: with its blanks, its slashes, and its accents."""
    ways = [row.given, row.file, *row.others]
    if len(ways) == 2 and not row.given:  # one way to write it, as nearly always: whether it exists is found later
        return row.file
    return next((way for way in ways if way and os.path.lexists(root / way)), row.file)


def _part_called(text: str, where: str) -> str:
    split = split_called(text)
    if split is None:
        raise InputError(f"{where}: the split is {printable(text, 60)!r}, but must be one of {', '.join(SPLITS)}")
    return split
