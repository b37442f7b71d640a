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
from lit_coiba.data.fingerprint import Noticing
from lit_coiba.data.labelled import LabelledImages
from lit_coiba.data.module import BlockDataModule, Examples, Split
from lit_coiba.data.subset import LimitOrder


class ImageFolder(BlockDataModule):
    """Image files below `root`; the id of a file is its path relative to it.

    A label comes from the CSV, or else from `label_pattern` in the file's name, or else from the class folder: the
    first folder on the path to the file, numbered in sorted order (of ``train``, if there is one). Boxes in the CSV
    give the region of the object, in pixels of the upright image, both ends included.

    If `root` has the folders ``train``, ``val`` and ``test`` (two of them, or one and nothing else), or the CSV has a
    column ``split``, each verb uses its own split; `explain` uses `split`, by default the first that exists of ``val``,
    ``test``, ``train``. Otherwise every verb uses all files, and `fit` runs without validation.

    The other arguments are those of `BlockDataModule`.

    Args:
        root: Folder of the images.
        csv: CSV file with one row per image or box, used instead of the folder's structure: the column ``file``
            (relative to `root`) and, as needed, ``label`` (index or name), ``split``, ``x_min``, ``y_min``, ``x_max``,
            ``y_max``.
        columns: Names of these columns in the CSV, if they differ (``{"label": "species"}``).
        split: Split to explain.
        classes: File with the class names in index order: one per line, or a CSV with ``index``, ``name`` and other
            columns whose entries also name the class. Class folders are then looked up in it.
        label_pattern: Regular expression with one group that matches the class in the file's name.
        augment: Whether to train on random crops, mirrored at random.

    Raises:
        InputError: A path does not exist, a pattern or a column is wrong, there are no images, or a label is unknown.
    """

    excluded_from_identity = BlockDataModule.excluded_from_identity | {
        *("root", "csv", "columns", "split", "classes", "label_pattern", "augment")
    }

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
        fingerprint: Noticing = "time",
    ) -> None:
        super().__init__(batch_size, num_workers, limit, limit_order, fingerprint)
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
        raise InputError(f"split: {self.csv or self.root} has no split {asked}, it has {have}")


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(f"label_pattern: {pattern!r} is not a regular expression: {error}") from error
    if compiled.groups != 1:
        raise InputError(
            f"label_pattern: {pattern!r} has {compiled.groups} groups, but must have exactly one, which matches the "
            "class"
        )
    return compiled
