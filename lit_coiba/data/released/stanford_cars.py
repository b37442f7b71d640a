"""Stanford Cars: 196 models of cars, a box each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.data.files.boxes import Box
from lit_coiba.data.files.csv_file import read_csv
from lit_coiba.data.files.expected_tree import Entry, Tree
from lit_coiba.data.files.file_dataset import FileDataset
from lit_coiba.data.files.listed_files import check_listed, some
from lit_coiba.data.files.listing import find_images, subfolders
from lit_coiba.data.files.mat_file import read_mat, read_structs, text, whole
from lit_coiba.data.files.text_lines import read_lines
from lit_coiba.data.released.published import PublishedDataset

_FIELDS = ("class", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
_META = "devkit/cars_meta.mat"
_FOLDERS = {"train": "cars_train/*.jpg", "test": "cars_test/*.jpg"}
_LABELS = {"train": "devkit/cars_train_annos.mat", "test": "cars_test_annos_withlabels.mat"}
_ALL, _ALL_PICTURES = "cars_annos.mat", "car_ims/*.jpg"
_NAMES = "names.csv"
_CLASS = "* [12][0-9][0-9][0-9]"  # all names of classes end with a year, by which a folder of cars is known
_TABLES = {"train": "anno_train.csv", "test": "anno_test.csv"}


def _near(file: str) -> tuple[str, ...]:
    """Where the archive of class folders has its tables: they are two folders down in it."""
    return (file, f"../{file}", f"../../{file}")


_DEVKIT = Tree(
    "Stanford Cars",
    "stanford_cars",
    (
        Entry(_FOLDERS["train"], paths=("cars_train/cars_train/", "cars_train/")),
        Entry(_FOLDERS["test"], paths=("cars_test/cars_test/", "cars_test/")),
        Entry(_META, "the names of the classes"),
        Entry(_LABELS["train"]),
        Entry(_LABELS["test"], "a download of its own; also in devkit", (_LABELS["test"], f"devkit/{_LABELS['test']}")),
    ),
)
_COMBINED = Tree(
    "Stanford Cars",
    "stanford_cars",
    (Entry(_ALL_PICTURES, paths=("car_ims/",)), Entry(_ALL, "labels, boxes and splits", (_ALL, f"devkit/{_ALL}"))),
)
_CLASS_FOLDERS = Tree(
    "Stanford Cars",
    "car_data",
    (
        Entry("train/Acura RL Sedan 2012/*.jpg", "a folder for each of the classes", (f"train/{_CLASS}/*.jpg",)),
        Entry("test/Acura RL Sedan 2012/*.jpg", "a folder for each of the classes", (f"test/{_CLASS}/*.jpg",)),
        Entry(_NAMES, "a class a line", _near(_NAMES), optional=True),
        Entry(_TABLES["train"], "boxes", _near(_TABLES["train"]), optional=True),
        Entry(_TABLES["test"], "boxes", _near(_TABLES["test"]), optional=True),
    ),
)


class StanfordCars(PublishedDataset):
    """Stanford Cars: 16,185 pictures of 196 models (Krause et al., 3D Object Representations, 3dRR 2013).

    Three layouts are read: the folders of the first release with its devkit (and the test labels, a separate file);
    ``car_ims`` with ``cars_annos.mat``; and class folders in ``train`` and ``test``, as mirrors have them, with
    ``names.csv`` (without it classes are numbered in the order of their names, which is not that of the devkit) and
    boxes in ``anno_train.csv`` and ``anno_test.csv``. The id of a picture is its path below the root, so other layouts
    have other ids. The region is the bounding box. The split is that of the release, 8,144 for training and 8,041 for
    testing; a part of the former is held out for validation (`held_out` says which).

    The arguments and errors are those of `PublishedDataset`.
    """

    trees = (_DEVKIT, _COMBINED, _CLASS_FOLDERS)

    def read(self, part: str) -> FileDataset:
        """The pictures of ``train`` or ``test``."""
        if self.place.tree is _CLASS_FOLDERS:
            return self._read_class_folders(part)
        if self.place.tree is _COMBINED:
            source = names = self.place.need(_ALL)
            records = read_structs(source, "annotations", ["test", "relative_im_path", *_FIELDS])
            flag = f"a test in {source}"
            records = [tuple(rest) for test, *rest in records if bool(whole(test, flag)) == (part == "test")]
        else:
            source, names = self.place.need(_LABELS[part]), self.place.need(_META)
            folder = self.place.need(_FOLDERS[part]).relative_to(self.place.folder).as_posix()
            records = [
                (f"{folder}/{text(name, f'an fname in {source}')}", *rest)
                for name, *rest in read_structs(source, "annotations", ["fname", *_FIELDS])
            ]
        return self._listed(records, read_mat(names, ["class_names"])[0], source)

    def _listed(self, records: Iterable[Any], named: list[Any], source: Path) -> FileDataset:
        classes = [text(name, f"a name of a class beside {source}") for name in named]
        labels: dict[str, int] = {}
        boxes: dict[str, list[Box]] = {}
        files = []
        for number, (name, label, *sides) in enumerate(records, start=1):
            where = f"annotation {number} of {source}"
            files.append(text(name, f"the file in {where}"))
            labels[name] = whole(label, f"the class in {where}") - 1
            if not 0 <= labels[name] < len(classes):
                raise InputError(f"root: {where}: class {labels[name] + 1} is not one of 1 to {len(classes)}")
            boxes[name] = [_box(sides, where)]
        check_listed(self.place.folder, files, source)
        return FileDataset(self.place.folder, files, [labels[name] for name in files], classes, boxes)

    def _read_class_folders(self, part: str) -> FileDataset:
        """Pictures in folders that are called as their class; a slash in its name is a hyphen there."""
        folder, source, table = self.place.folder, self.place.path(_NAMES), self.place.path(_TABLES[part])
        classes = subfolders(folder / "train")
        if source is not None:
            classes = [name.strip('"') for (name,) in read_lines(source, {"name": str}).values()]
        indices = {name.replace("/", "-"): index for index, name in enumerate(classes)}
        if len(indices) < len(classes):
            raise InputError(f"root: {source} has two classes with the same folder: it is not the file of the release")
        names = find_images(folder / part)
        unknown = sorted({name.partition("/")[0] for name in names} - indices.keys())
        if unknown:
            told = source if source is not None else folder / "train"
            raise InputError(f"root: {folder / part} has {some(unknown)}, which is not a class in {told}")
        boxes = _read_boxes(table) if table is not None else {}
        return FileDataset(
            folder,
            [f"{part}/{name}" for name in names],
            [indices[name.partition("/")[0]] for name in names],
            classes,
            {f"{part}/{name}": [box] for name in names if (box := boxes.get(name.rpartition("/")[2])) is not None},
        )


def _read_boxes(table: Path) -> dict[str, Box]:
    """Boxes by file name, from lines ``file,x1,y1,x2,y2,class`` with or without a header."""
    boxes: dict[str, Box] = {}
    for line, row in read_csv(table, "root"):
        where = f"line {line} of {table}"
        if line == 1 and len(row) == 6 and not row[1].isdecimal():
            continue
        if len(row) != 6:
            raise InputError(f"root: {where} has {len(row)} fields, but must be: file,x1,y1,x2,y2,class")
        if row[0] in boxes:
            raise InputError(f"root: {where} is about {printable(row[0], 60)}, like an earlier line")
        boxes[row[0]] = _box(row[1:5], where)
    return boxes


def _box(sides: Iterable[Any], where: str) -> Box:
    """A box from the devkit's numbers, which count pixels from 1."""
    given = list(sides)
    try:
        box = Box(*(int(side) - 1 for side in given))
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"root: {where}: the box {_shown(given)} is not four numbers") from None
    if box.x_max < box.x_min or box.y_max < box.y_min:
        raise InputError(f"root: {where}: the box {_shown(given)} ends before it begins")
    return box


def _shown(sides: Iterable[Any]) -> str:
    return printable(", ".join(map(str, sides)), 100)
