"""ImageNet: a thousand classes, with boxes where the release has them."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Literal

from lit_coiba.core.errors import InputError
from lit_coiba.data.files.expected_tree import Entry, Tree
from lit_coiba.data.files.file_dataset import BoxTable, FileDataset
from lit_coiba.data.files.listed_files import check_listed, some
from lit_coiba.data.files.listing import find_images, subfolders
from lit_coiba.data.files.xml_boxes import XmlBoxes
from lit_coiba.data.fingerprint import Noticing
from lit_coiba.data.passes import BatchSize
from lit_coiba.data.released.published import PublishedDataset
from lit_coiba.data.released.synsets import Devkit, Solution, read_mapping
from lit_coiba.data.subset import LimitOrder

_KAGGLE = "ILSVRC/Data/CLS-LOC"  # where its archive has the images
_FOLDERS = {
    "train": Entry("train/n01440764/*.JPEG", "to fit", ("train/", f"{_KAGGLE}/train/"), optional=True),
    "val": Entry("val/*.JPEG", paths=("val/", f"{_KAGGLE}/val/")),
}
_CLASS_FOLDERS = Entry(
    "val/n01440764/*.JPEG", "a folder for each of the classes", ("val/n[0-9]*/", f"{_KAGGLE}/val/n[0-9]*/")
)
_MAPPING = Entry("LOC_synset_mapping.txt", "names of the classes", optional=True)
_SOLUTIONS = {part: Entry(f"LOC_{part}_solution.csv", "boxes", optional=True) for part in ("train", "val")}
_ANNOTATIONS = {
    part: Entry(
        f"ILSVRC/Annotations/CLS-LOC/{part}/",
        "boxes",
        (f"ILSVRC/Annotations/CLS-LOC/{part}/", f"Annotations/CLS-LOC/{part}/"),
        optional=True,
    )
    for part in ("train", "val")
}
_META = Entry("ILSVRC2012_devkit_t12/data/meta.mat", "numbers of the classes")
_TRUTH = Entry("ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt", "labels")
_MORE = (_MAPPING, *_SOLUTIONS.values(), *_ANNOTATIONS.values())
_WNID = re.compile(r"n\d{8}")


class ImageNet(PublishedDataset):
    """ImageNet, ILSVRC 2012: 1,281,167 pictures for training, 50,000 for validation (Russakovsky et al., IJCV 2015).

    Images are in ``train`` and ``val``, or as in Kaggle's archive in ``ILSVRC/Data/CLS-LOC``; ``train`` may be missing
    where nothing is trained. Those of ``val`` are in class folders, or flat: their labels are then in
    ``LOC_val_solution.csv`` or the development kit. Classes are numbered in the order of their WordNet ids, as in
    published networks; ``LOC_synset_mapping.txt`` or the development kit name them. The id of a picture is its path
    from ``train`` or ``val`` on. The region is the union of the boxes in ``Annotations``, else in
    ``LOC_*_solution.csv``; of the training split only a part has any.

    There is no test split, because its labels were never published: validation takes its place.

    The arguments and errors are those of `PublishedDataset`.
    """

    trees = (
        Tree("ImageNet", "imagenet", (_CLASS_FOLDERS, _FOLDERS["train"], *_MORE)),
        Tree(
            "ImageNet",
            "imagenet",
            (
                Entry(f"{_KAGGLE}/val/*.JPEG", paths=_FOLDERS["val"].paths),
                Entry(_SOLUTIONS["val"].shown, "labels and boxes"),
                Entry(f"{_KAGGLE}/train/n01440764/*.JPEG", "to fit", _FOLDERS["train"].paths, optional=True),
                *(entry for entry in _MORE if entry != _SOLUTIONS["val"]),
            ),
        ),
        Tree("ImageNet", "imagenet", (_FOLDERS["val"], _META, _TRUTH, _FOLDERS["train"], *_MORE)),
    )
    official = ("train", "val")

    def __init__(
        self,
        root: str,
        split: Literal["train", "val"] = "val",
        augment: bool = False,
        batch_size: BatchSize = 8,
        num_workers: int | None = None,
        limit: int | None = None,
        limit_order: LimitOrder = "spread",
        fingerprint: Noticing = "time",
    ) -> None:
        super().__init__(root, split, 0.0, augment, batch_size, num_workers, limit, limit_order, fingerprint)

    def read(self, part: str) -> FileDataset:
        """The pictures of ``train`` or ``val``."""
        folder = self._find(_FOLDERS[part])
        if folder is None:
            raise InputError(f"split: {self.place.folder} has no split train, only val")
        if part == "val" and not _class_folders(folder):
            told, source = self._flat_labels
            names = [f"{part}/{image}.JPEG" for image in told]
            wnids = list(told.values())
            check_listed(folder.parent, names, source)
        else:
            names = [f"{part}/{below}" for below in find_images(folder)]
            wnids = [name.split("/")[1] for name in names]
        indices = {wnid: index for index, wnid in enumerate(self._classes)}
        unknown = [name for name, wnid in zip(names, wnids) if wnid not in indices]
        if unknown:
            raise InputError(f"root: {len(unknown)} images in {folder} have no known class: {some(unknown)}")
        labels = [indices[wnid] for wnid in wnids]
        return FileDataset(folder.parent, names, labels, list(self._classes.values()), self._boxes(part))

    def _find(self, entry: Entry) -> Path | None:
        return entry.find(self.place.folder)

    @cached_property
    def _classes(self) -> dict[str, str]:
        """WordNet id -> name, in the order of the ids; where no file names them, the ids of the folders or labels."""
        if (mapping := self._find(_MAPPING)) is not None:
            names = read_mapping(mapping)
        elif (devkit := self._devkit) is not None:
            names = devkit.names
        else:
            folders = [wnid for part in _FOLDERS.values() for wnid in _class_folders(self._find(part))]
            wnids = folders or self._flat_labels[0].values()
            names = {wnid: wnid for wnid in wnids}
        return dict(sorted(names.items()))

    @cached_property
    def _flat_labels(self) -> tuple[dict[str, str], Path]:
        """Validation image without its ending -> WordNet id, and the file that says so."""
        if (solution := self._solutions["val"]) is not None:
            return solution.labels(), solution.path
        assert self._devkit is not None  # else the tree were not complete
        return self._devkit.labels(), self._devkit.truth

    @cached_property
    def _devkit(self) -> Devkit | None:
        meta, truth = self._find(_META), self._find(_TRUTH)
        return Devkit(meta, truth) if meta is not None and truth is not None else None

    def _boxes(self, part: str) -> BoxTable | None:
        annotations = self._find(_ANNOTATIONS[part])
        if annotations is not None:
            return XmlBoxes(annotations, depth=2 if part == "train" else 1)
        return self._solutions[part]

    @cached_property
    def _solutions(self) -> dict[str, Solution | None]:
        paths = {part: self._find(entry) for part, entry in _SOLUTIONS.items()}
        return {part: Solution(path) if path is not None else None for part, path in paths.items()}


def _class_folders(folder: Path | None) -> list[str]:
    """Names of the folders in one that are WordNet ids."""
    return [name for name in subfolders(folder) if _WNID.fullmatch(name)] if folder is not None else []
