"""A user's own image files: class folders, a flat folder, or a CSV with labels and boxes."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from lit_coiba.core.errors import InputError
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.files.class_names import ClassNames
from lit_coiba.data.files.file_index import SPLITS, WHOLE, FileIndex, FolderIndex, TableIndex
from lit_coiba.data.labelled import LabelledImages
from lit_coiba.data.module import BlockDataModule, Examples, Split
from lit_coiba.data.subset import LimitOrder


class ImageFolder(BlockDataModule):
    """Image files below `root`; the id of a file is its path relative to it.

    A label is, in this order: what the CSV says; what `label_pattern` finds in the file's name; the class folder, that
    is the first folder on the way to the file, numbered in sorted order (of ``train``, where there is one); none. Boxes
    in the CSV give the region of the object, in pixels of the upright picture, both ends included.

    Where `root` holds the folders ``train``, ``val`` and ``test`` (two of them, or one and nothing else), or the CSV
    has a column ``split``, each verb takes its own; explaining takes `split`, by default the first there is of
    ``val``, ``test``, ``train``. Otherwise every verb takes all files, and fitting goes without validation.

    Other arguments are those of `BlockDataModule`.

    Args:
        root: The folder.
        csv: A CSV with one row per file or box, instead of what lies in the folder: columns ``file`` (relative to
            `root`) and, as far as wanted, ``label`` (index or name), ``split``, ``x_min``, ``y_min``, ``x_max``,
            ``y_max``.
        columns: What these columns are called in the CSV, where it is otherwise (``{"label": "species"}``).
        split: Which split is explained.
        classes: File with the class names in index order: one a line, or a CSV with ``index``, ``name`` and other
            columns by which a class may be called. Class folders are then looked up in it.
        label_pattern: Regular expression with one group, searched in the file's name; the group is the class.
        augment: Train on random cuts, mirrored at random.

    Raises:
        InputError: A path does not exist, a pattern or a column is wrong, there is no image, a label is not known.
    """

    def __init__(
        self,
        root: str,
        csv: str | None = None,
        columns: dict[str, str] | None = None,
        split: Literal["train", "val", "test"] | None = None,
        classes: str | None = None,
        label_pattern: str | None = None,
        augment: bool = False,
        batch_size: int = 8,
        num_workers: int | None = None,
        limit: int | None = None,
        limit_order: LimitOrder = "spread",
    ) -> None:
        super().__init__(batch_size, num_workers, limit, limit_order)
        self.root = Path(root).expanduser()
        self.csv = csv
        self.columns = columns
        self.split = split
        self.classes = classes
        self.label_pattern = _compiled(label_pattern)
        self.augment = augment
        if not self.root.is_dir():
            raise InputError(f"root: {self.root} {'is not a folder' if self.root.exists() else 'does not exist'}")
        if split not in (None, *SPLITS):
            raise InputError(f"split is {split!r}, but must be one of {', '.join(SPLITS)}")

    def dataset(self, split: Split) -> ImageDataset:
        """The files of a split; ``predict`` = those that are explained.

        Raises:
            InputError: There is no such split, no file in it, or a label is not known.
        """
        return self._index.dataset(self._part(split))

    @property
    def num_classes(self) -> int | None:
        """Number of class names, else one more than the highest label, else None."""
        return self._index.num_classes

    def examples(self, split: Split) -> Examples:
        """Files with their labels, for training and evaluation."""
        return LabelledImages(self.dataset(split), self.transform, self.augment and split == "train")

    def val_dataloader(self) -> Any:
        """Batches of the validation split; fitting goes without where there is none."""
        if self.stage == "fit" and "val" not in self._index.parts:
            return self.no_batches()
        return super().val_dataloader()

    @cached_property
    def _index(self) -> FileIndex:
        names = ClassNames.read(Path(self.classes).expanduser()) if self.classes else None
        if self.csv:
            return TableIndex(self.root, Path(self.csv).expanduser(), self.columns, names, self.label_pattern)
        return FolderIndex(self.root, names, self.label_pattern)

    def _part(self, split: Split) -> str:
        parts = self._index.parts
        asked = self.split if split == "predict" else split
        if asked is None:
            return next(part for part in (WHOLE, "val", "test", "train") if part in parts)
        if asked in parts:
            return asked
        if split != "predict" and parts == (WHOLE,):
            return WHOLE
        have = "no splits" if parts == (WHOLE,) else f"only {', '.join(parts)}"
        raise InputError(f"split: there is no {asked} in {self.csv or self.root}, which has {have}")


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(f"label_pattern: {pattern!r} is not a regular expression: {error}") from error
    if compiled.groups != 1:
        raise InputError(f"label_pattern: {pattern!r} has {compiled.groups} groups, but must have one: the class")
    return compiled
