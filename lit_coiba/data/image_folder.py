"""A user's own image files: class folders, a flat folder, or a CSV with labels and boxes."""

from __future__ import annotations

import math
import os
import re
from functools import cached_property
from typing import Any, Literal

from lit_coiba.core.errors import InputError, warn
from lit_coiba.core.printable import printable
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.files.class_names import ClassNames
from lit_coiba.data.files.file_dataset import FileDataset
from lit_coiba.data.files.file_index import FileIndex, FolderIndex, PictureIndex, TableIndex
from lit_coiba.data.files.image_file import image_size
from lit_coiba.data.files.map_folder import map_folder
from lit_coiba.data.files.splits import SPLITS, WHOLE
from lit_coiba.data.files.value_range import small_range
from lit_coiba.data.fingerprint import Noticing
from lit_coiba.data.labelled import LabelledImages
from lit_coiba.data.module import BlockDataModule, Examples, Split
from lit_coiba.data.passes import BatchSize
from lit_coiba.data.subset import LimitOrder
from lit_coiba.files.given_path import given_path
from lit_coiba.files.regular import is_regular

_ONE_CLASS = "give the folder that holds the class folders as root, or the labels in a csv"


class ImageFolder(BlockDataModule):
    """Image files below `root`; the id of a file is its path relative to it.

    A label comes from the CSV, or else from `label_pattern` in the file's name, or else from the class folder: the
    first folder on the path to the file, numbered in sorted order (of ``train``, if there is one). Folders that are
    all whole numbers are class indices where they are 0 to K - 1, or numbers of the model's classes. Boxes in the CSV
    give the region of the object, in pixels of the upright image with both ends included, or in shares of it.
    Transparent pixels are laid on white. Folders of other programs (``@eaDir``, ``lost+found``, ``__MACOSX``) and those
    that begin with a dot are left out.

    If `root` has the folders ``train``, ``val`` and ``test`` (two of them, or one and nothing else; ``dev`` and
    ``eval`` are ``val``, and a year may follow), or the CSV has a column ``split``, each verb uses its own split;
    `explain` uses `split`, by default the first that exists of ``val``, ``test``, ``train``. Otherwise every verb uses
    all files, and `fit` runs without validation.

    The other arguments are those of `BlockDataModule`.

    Args:
        root: Folder of the images, or one image.
        csv: CSV file with one row per image or box, used instead of the folder's structure: the column ``file``
            (relative to `root`) and, as needed, ``label`` (index or name), ``split``, ``x_min``, ``y_min``, ``x_max``,
            ``y_max``.
        columns: Names of these columns in the CSV, if they differ (``{"label": "species"}``).
        split: Split to explain.
        classes: File with the class names in index order: one per line, or a CSV with ``index``, ``name`` and other
            columns whose entries also name the class. Class folders are then looked up in it.
        label_pattern: Regular expression with one group that matches the class in the file's name.
        augment: Whether to train on random crops, mirrored at random.
        maximum: Value of white in files of more than 8 bits, such as 4095 for 12; None = 65535.
        importance: Folder of maps of where people say the evidence is, under the paths of their images with another
            ending, PNG, JPEG (gray levels) or NPY; or, in the place of such a file, a folder of its name with a map for
            each participant. None = the boxes, 1 inside and 0 outside.

    Raises:
        InputError: A path does not exist, a pattern or a column is wrong, there are no images, or a label is unknown.
    """

    excluded_from_identity = BlockDataModule.excluded_from_identity | {
        *("root", "csv", "columns", "split", "classes", "label_pattern", "augment", "importance")
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
        batch_size: BatchSize = 8,
        num_workers: int | None = None,
        limit: int | None = None,
        limit_order: LimitOrder = "spread",
        maximum: float | None = None,
        fingerprint: Noticing = "time",
        importance: str | None = None,
    ) -> None:
        super().__init__(batch_size, num_workers, limit, limit_order, fingerprint)
        self.root = given_path(root, "root")
        self.csv = csv
        self.columns = columns
        self.split = split
        self.classes = classes
        self.label_pattern = _compiled(label_pattern)
        self.augment = augment
        self.maximum = maximum
        self._said: set[str] = set()
        self._table = given_path(csv, "csv") if csv is not None else None
        self._names_file = given_path(classes, "classes") if classes is not None else None
        self.importance = importance
        self._maps = map_folder(importance, self.root, csv is not None) if importance is not None else None
        self._picture = not os.path.isdir(self.root)
        if self._picture:
            self._check_picture()
        if maximum is not None and not (maximum > 0 and math.isfinite(maximum)):
            raise InputError(f"maximum is {maximum}: give the value of white, such as 4095 for 12 bits")
        if split not in (None, *SPLITS):
            raise InputError(f"split is {split!r}, but must be one of {', '.join(SPLITS)}")

    def dataset(self, split: Split) -> ImageDataset:
        """The files of a split; ``predict`` = those that are explained.

        Raises:
            InputError: There is no such split, no file in it, or a label is not known.
        """
        dataset = self._index.dataset(self._part(split))
        dataset.maximum, dataset.importance_maps = self.maximum, self._maps
        self._check_labels(dataset)
        self._tell(dataset)
        return dataset

    @property
    def num_classes(self) -> int | None:
        """Number of class names, else one more than the highest label, else None."""
        return self._index.num_classes

    def examples(self, split: Split) -> Examples:
        """Files with their labels, for training and evaluation."""
        dataset = self.dataset(split)
        if split == "train" and self.num_classes == 1 and self.labels_read:
            raise InputError(f"root: {self.root} has one class, and nothing can be learned from it: {_ONE_CLASS}")
        return LabelledImages(dataset, self.transform, self.augment and split == "train", self.model_classes)

    def val_dataloader(self) -> Any:
        """Batches of the validation split; fitting goes without where there is none."""
        if self.stage == "fit" and "val" not in self._index.parts:
            return self.no_batches()
        return super().val_dataloader()

    @property
    def _index(self) -> FileIndex:
        index = self._files
        if isinstance(index, FolderIndex):
            index.understand(self.model_classes)
        return index

    @cached_property
    def _files(self) -> FileIndex:
        names = ClassNames.read(self._names_file) if self._names_file is not None else None
        if self._table is not None:
            return TableIndex(self.root, self._table, self.columns, names, self.label_pattern)
        if self._picture:
            return PictureIndex(self.root, names, self.label_pattern)
        return FolderIndex(self.root, names, self.label_pattern)

    def _check_picture(self) -> None:
        """Refuse a root that is neither a folder nor an image."""
        if not is_regular(self.root):
            exists = os.path.lexists(self.root)
            raise InputError(f"root: {self.root} {'is not a folder' if exists else 'does not exist'}")
        if self.csv is not None:
            raise InputError(f"root: {self.root} is not a folder, and the files in a csv are relative to one")
        try:
            image_size(self.root)
        except OSError as error:
            raise InputError(f"root: {self.root} is not a folder, and no image either: {error}") from error

    def _check_labels(self, dataset: FileDataset) -> None:
        """Refuse class numbers that count from 1."""
        classes = self.model_classes
        if not classes or dataset.classes or max(dataset.labels) != classes:
            return
        labels = [label for part in self._index.parts for label in self._index.dataset(part).labels if label >= 0]
        if min(labels) > 0:
            raise InputError(
                f"the labels count from 1: none is 0, and the largest is {classes}, but the model's {classes} classes "
                f"are 0 to {classes - 1}: subtract 1, or give the class names as data.classes"
            )

    def _tell(self, dataset: FileDataset) -> None:
        """Warn of what the files show, of each thing once."""
        told = self._index.told
        if self.maximum is None and (dark := small_range(dataset.root, dataset.names)) is not None:
            told.append(dark)
        if (maps := dataset.importance_maps) is not None and not any(name in maps for name in dataset.names):
            first = printable(dataset.ids[0], 100)
            told.append(f"importance: {self.importance} has no map of any of {len(dataset)} images, such as {first}")
        for sentence in told:
            if sentence not in self._said:
                self._said.add(sentence)
                warn(sentence, stacklevel=3)

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
