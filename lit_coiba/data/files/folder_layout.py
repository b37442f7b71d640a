"""What the folders in a root mean: splits, classes, or neither; and what to tell the user about it.

This is the one place that decides it. Nothing is numbered otherwise than its names say without a sentence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.data.files.class_names import ClassNames, told_alike
from lit_coiba.data.files.listed_files import some
from lit_coiba.data.files.listing import class_folders, holds, subfolders
from lit_coiba.data.files.splits import SPLITS, split_called

# Endings of files that lie beside images and are none; of others we say that they are left out.
_BESIDE = frozenset(
    f".{ending}"
    for endings in (
        "csv tsv txt md rst json jsonl xml yaml yml toml ini cfg html htm pdf log db lnk url doc docx xls xlsx xmp aae",
        "zip tar gz tgz 7z md5 sha256 mat npy npz parquet pkl h5 hdf5 pt pth ckpt safetensors py ipynb sh",
    )
    for ending in endings.split()
)
_SHOWN = 60  # characters of a name in a message


def splits_in(root: Path, names: ClassNames | None, told: list[str]) -> dict[str, str]:
    """The folders of a root that are splits: split -> name; none if the folders are classes.

    They are if two splits are there, or one and nothing else, unless all are names of classes.

    Args:
        root: The folder.
        names: Class names, where they are given.
        told: Takes sentences for the user.

    Raises:
        InputError: Two folders are one split, or one is a split and those beside it look like others.
    """
    folders = class_folders(root)
    if names is not None and all(names.has(name) for name in folders):
        return {}
    called: dict[str, list[str]] = {}
    for name in folders:
        if (split := split_called(name)) is not None:
            called.setdefault(split, []).append(name)
    others = [name for name in folders if split_called(name) is None]
    if len(called) < 2 and (others or not called):
        _check_beside(root, [name for names in called.values() for name in names], others, told)
        return {}
    for split, same in called.items():
        if len(same) > 1:
            raise InputError(
                f"root: {root} has {' and '.join(same)}, and each is a name of the split {split}: give one of them,"
                f" such as {root / same[0]}, as root, or rename one"
            )
    if others:
        told.append(f"root: {root} has splits, and what is in no split is left out: {_named(others)}")
    return {split: called[split][0] for split in SPLITS if split in called}


def classes_in(folder: Path, model_classes: int | None, told: list[str]) -> ClassNames:
    """The classes that the folders in one stand for.

    A folder is a class if there is an image in it; one that holds only other files keeps its number. Folders that are
    all whole numbers are class indices where they are numbers of the model's classes, or 0 to K - 1.

    Args:
        folder: The folder.
        model_classes: Number of the model's classes; None = unknown.
        told: Takes sentences for the user.
    """
    held = {name: holds(folder / name) for name in subfolders(folder)}
    if "images" not in held.values():
        return ClassNames([], numbers=False)
    names = [name for name, what in held.items() if what != "nothing"]
    if empty := [name for name in names if held[name] == "files"]:
        told.append(
            f"root: no image in {_named(empty)} of {folder} can be read, and the class number is kept: remove what is "
            "no class"
        )
    if nothing := [name for name, what in held.items() if what == "nothing"]:
        told.append(f"root: {_named(nothing)} of {folder} is empty, and counts as no class")
    if are_numbers(names):
        return _numbered(names, model_classes, told)
    if alike := told_alike(names):
        told.append(f"root: of the class folders in {folder}, {alike}")
    if len(names) == 1:
        below = _named(class_folders(folder / names[0]))
        advice = f"; it holds the folders {below}: give {folder / names[0]} as root if these are" if below else ""
        told.append(
            f"root: {folder} has one class folder, {printable(names[0], _SHOWN)}, so there is one class{advice}"
        )
    return ClassNames(names, numbers=False)


def are_numbers(names: Sequence[str]) -> bool:
    """Whether all names of folders are whole numbers."""
    return all(name.isascii() and name.isdecimal() and len(name) <= 18 for name in names)


def left_out(folder: Path, others: Counter[tuple[str, str]], images: Sequence[str], named: bool = True) -> str | None:
    """The sentence about files that are no images that can be read; None where there are none of note.

    Args:
        folder: The folder.
        others: As in `Listing`.
        images: Those that are not left out.
        named: Whether to name class folders without an image.
    """
    filled = {name.partition("/")[0] for name in images if "/" in name}
    endings: Counter[str] = Counter()
    for (first, ending), count in others.items():
        if ending not in _BESIDE or (first and filled and first not in filled):
            endings[ending] += count
    if not endings:
        return None
    kinds = [f"{count} {printable(ending, 12) or 'without suffix'}" for ending, count in endings.most_common(5)]
    kinds += ["..."] if len(endings) > 5 else []
    empty = sorted({first for first, _ in others if first and first not in filled}) if named and filled else []
    of = f"; no image can be read in {_named(empty)}" if empty else ""
    number = endings.total()
    return f"root: of {folder}, {number} {'file is' if number == 1 else 'files are'} left out: {', '.join(kinds)}{of}"


def _check_beside(root: Path, splits: Sequence[str], others: Sequence[str], told: list[str]) -> None:
    """Look whether folders that are taken for classes are splits or collections instead."""
    if splits and others:
        own = set(class_folders(root / splits[0]))
        alike = [name for name in others if own & set(class_folders(root / name))] if own else []
        if alike:
            raise InputError(
                f"root: {root} has {splits[0]} beside {_named(alike)}, with the same folders in them "
                f"({_named(sorted(own))}): give {root / splits[0]} as root, or call the splits train, val and test"
            )
        if own:
            told.append(
                f"root: {splits[0]} is taken for a class, beside {_named(others)}: give {root / splits[0]} as root if "
                f"{_named(sorted(own))} are the classes"
            )
    elif len(others) > 1:
        below = Counter(name for folder in others for name in class_folders(root / folder))
        shared = sorted(name for name, times in below.items() if times == len(others))
        if len(shared) > 1:
            told.append(
                f"root: the folders {_named(others)} are taken for classes, and each holds {_named(shared)}: give "
                f"{root / others[0]} as root if these are the classes"
            )


def _numbered(names: Sequence[str], model_classes: int | None, told: list[str]) -> ClassNames:
    numbers = {name: int(name) for name in names}
    ordered = sorted(names, key=lambda name: (numbers[name], name))
    distinct = len(set(numbers.values())) == len(names)
    if distinct and [numbers[name] for name in ordered] == list(range(len(names))):
        if model_classes is None or model_classes <= len(names):
            return ClassNames(ordered, numbers=False)
        return ClassNames([])
    if distinct and model_classes is not None and max(numbers.values()) < model_classes:
        return ClassNames([])  # indices, as in a table
    if ordered != list(names):
        told.append(
            f"root: the class folders are numbers, but not 0 to {len(names) - 1} or those of the model's classes, and "
            f"count in the order of their text ({_given(names)}): give their order, a number a line, as classes"
        )
    elif min(numbers.values()) == 1:
        told.append(f"root: the class folders count from 1, and classes from 0 ({_given(names)})")
    return ClassNames(list(names), numbers=False)


def _given(names: Sequence[str]) -> str:
    pairs = [f"{printable(name, 20)} is class {index}" for index, name in enumerate(names[:4])]
    return ", ".join(pairs) + (", ..." if len(names) > 4 else "")


def _named(names: Sequence[str]) -> str:
    return some([printable(name, _SHOWN) for name in names])
