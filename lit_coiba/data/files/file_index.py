"""Which image files belong to a split and how they are labelled: from folders, or from a CSV."""

from __future__ import annotations

import posixpath
import re
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from lit_coiba.core.errors import InputError
from lit_coiba.data.files.class_names import ClassNames
from lit_coiba.data.files.file_dataset import FileDataset, class_folders, find_images, subfolders
from lit_coiba.data.files.file_table import Box, read_table
from lit_coiba.data.files.image_file import EXTENSIONS

WHOLE = ""  # the only part where there are no splits

# A split -> what its folder, or its value in a CSV, may be called.
_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
SPLITS = tuple(_NAMES)


class Entry(NamedTuple):
    """A file, or one of the boxes of a file."""

    name: str  # relative POSIX path
    label: str  # as written in a CSV, a file name or a folder name; empty = none
    where: str  # what to name in an error about the label
    box: Box | None = None


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
        self._datasets: dict[str, FileDataset] = {}

    def dataset(self, part: str) -> FileDataset:
        """The files of a part, in the order of their ids.

        Raises:
            InputError: There is no file, or a label is not known.
        """
        if part not in self._datasets:
            labels: dict[str, int] = {}
            boxes: dict[str, list[Box]] = {}
            for entry in self.entries(part):
                label = self._index(entry)
                if labels.setdefault(entry.name, label) != label:
                    raise InputError(f"{entry.where}: {entry.name} has another label in an earlier line")
                if entry.box is not None:
                    boxes.setdefault(entry.name, []).append(entry.box)
            names = list(labels)
            self._datasets[part] = FileDataset(self.root, names, list(labels.values()), self.names.names, boxes)
        return self._datasets[part]

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
        try:
            return self.names.index(entry.label)
        except InputError as error:
            raise InputError(f"{entry.where}: {error}") from error

    def _by_pattern(self, name: str) -> tuple[str, str]:
        """Label of a file by the pattern, and what to name in an error about it."""
        assert self.pattern is not None
        found = self.pattern.search(posixpath.basename(name))
        if found is None:
            raise InputError(f"label_pattern: {self.pattern.pattern!r} does not match the file {name}")
        return found[1] or "", f"label_pattern, file {name}"


class FolderIndex(FileIndex):
    """What lies in the root: split folders, in them or without them class folders, in them images."""

    def __init__(self, root: Path, names: ClassNames | None = None, pattern: re.Pattern[str] | None = None) -> None:
        super().__init__(root, names, pattern)
        folders = subfolders(root)
        self.folders = {split: name for split in SPLITS for name in folders if name.lower() in _NAMES[split]}
        if len(self.folders) < min(2, len(folders)):  # one of many: a class that happens to be called "train"
            self.folders = {}
        self.parts = tuple(self.folders) or (WHOLE,)

    def entries(self, part: str) -> list[Entry]:
        """The images in the folder of a part, labeled by pattern or class folder."""
        base = self._folder(part)
        found = find_images(base)
        if not found:
            raise InputError(f"root: {base} has no images, in it or below it (looked for {', '.join(EXTENSIONS)})")
        entries: list[Entry] = []
        for below in found:
            name = posixpath.join(self.folders.get(part, ""), below)
            if self.pattern is not None:
                label, where = self._by_pattern(name)
            else:
                label = below.split("/")[0] if "/" in below else ""
                where = f"class folder of {name}"
            entries.append(Entry(name, label, where))
        return entries

    def told_names(self) -> ClassNames:
        """The class folders, of the training split where there is one, so that all splits agree."""
        if self.pattern is not None:
            return ClassNames([])
        return ClassNames(class_folders(self._folder(self.parts[0])), numbers=False)

    def _folder(self, part: str) -> Path:
        return self.root / self.folders[part] if part in self.folders else self.root


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
        if not any((root / row.file).exists() for row in rows):
            raise InputError(
                f"csv: none of the files in {table} exists below {root} (the first is {rows[0].file}): give their "
                "common folder as root"
            )
        self._entries: dict[str, list[Entry]] = {}
        for row in rows:
            where = f"csv: line {row.line} of {table}"
            label = row.label
            if label is None:
                label, where = self._by_pattern(row.file) if pattern is not None else ("", where)
            part = WHOLE if row.split is None else _split_called(row.split, where)
            self._entries.setdefault(part, []).append(Entry(row.file, label, where, row.box))
        self.parts = tuple(part for part in (WHOLE, *SPLITS) if part in self._entries)

    def entries(self, part: str) -> list[Entry]:
        """The rows of a part."""
        return self._entries[part]

    def told_names(self) -> ClassNames:
        """The labels in sorted order, unless all are numbers."""
        labels = {entry.label for entries in self._entries.values() for entry in entries} - {""}
        return ClassNames([]) if all(map(ClassNames.is_number, labels)) else ClassNames(sorted(labels))


def _split_called(text: str, where: str) -> str:
    for split, names in _NAMES.items():
        if text.lower() in names:
            return split
    raise InputError(f"{where}: the split is {text!r}, but must be one of {', '.join(SPLITS)}")
