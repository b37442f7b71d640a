"""The folder of a released dataset: found at, above or below what the user gave, or drawn with what is missing."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import listed
from lit_coiba.data.files.listing import subfolders
from lit_coiba.files.given_path import given_path

_ABOVE = 3  # folders between a file of a release and its root, at most (ILSVRC/Data/CLS-LOC)
_CROWD = 32  # subfolders: a folder with more of them is one of classes, and not searched


class Entry(NamedTuple):
    """A file or folder of a release."""

    shown: str  # as the tree draws it; also its name for `Place.path`
    note: str = ""
    paths: tuple[str, ...] = ()  # where it may lie, relative to the root, as glob patterns; none = as it is shown
    optional: bool = False

    def find(self, folder: Path) -> Path | None:
        """The first path that exists; None if there is none."""
        for pattern in self.paths or (self.shown,):
            if found := next(glob.iglob(os.path.join(glob.escape(str(folder)), pattern)), None):
                return Path(found)
        return None

    def holds(self, below: str) -> bool:
        """Whether a folder ``below/`` of the root is on the way to it, or in it."""
        return any(path.startswith(below) or below.startswith(path) for path in self.paths or (self.shown,))


class Tree(NamedTuple):
    """One layout of a published dataset on disk."""

    title: str  # of the dataset
    folder: str  # what the release calls its folder
    entries: tuple[Entry, ...]

    def missing(self, folder: Path) -> list[Entry]:
        """What a folder lacks."""
        return [entry for entry in self.entries if not entry.optional and entry.find(folder) is None]

    def drawn(self, missing: Sequence[Entry] = ()) -> str:
        """The tree as text, an entry a line, marking what is missing."""
        width = max(len(entry.shown) for entry in self.entries)
        lines = [f"{self.folder}/"]
        for entry in self.entries:
            notes = ("MISSING" if entry in missing else "", "optional" if entry.optional else "", entry.note)
            lines.append(f"|-- {entry.shown:<{width}}  {': '.join(filter(None, notes))}".rstrip())
        return "\n".join(lines)


class Place(NamedTuple):
    """A released dataset on this machine."""

    tree: Tree
    folder: Path

    def path(self, shown: str) -> Path | None:
        """Path of an entry of the tree; None if an optional one does not exist."""
        return next(entry for entry in self.tree.entries if entry.shown == shown).find(self.folder)

    def need(self, shown: str) -> Path:
        """Path of an entry that is not optional.

        Raises:
            InputError: It was there when the tree was found, and is not there any more.
        """
        found = self.path(shown)
        if found is None:
            raise InputError(f"root: {shown} is not in {self.folder} any more: restore it")
        return found


def locate(root: str, trees: Sequence[Tree]) -> Place:
    """The folder of a published dataset: the folder given, or else one above it, or else one below it.

    Args:
        root: Folder that the user gave.
        trees: Possible layouts; if two fit, the first counts.

    Raises:
        InputError: There is no such folder, none of the trees is complete, or two subfolders have one.
    """
    given = given_path(root, "root")
    if not os.path.isdir(given):
        raise InputError(f"root: {given} {'is not a folder' if os.path.lexists(given) else 'does not exist'}")
    for places in _candidates(given, trees):
        found = {place.folder: place for place in reversed(places) if not place.tree.missing(place.folder)}
        if len(found) > 1:
            which = " or ".join(sorted(map(str, found)))
            raise InputError(f"root: {given} contains {trees[0].title} more than once: give {which}")
        if found:
            return next(iter(found.values()))
    raise _refusal(given, trees)


def _candidates(given: Path, trees: Sequence[Tree]) -> Iterator[list[Place]]:
    """Where it might be: from the likeliest on, and together those of which only one may be it."""
    yield [Place(tree, given) for tree in trees]
    absolute = Path(os.path.abspath(given))
    for above in absolute.parents[:_ABOVE]:
        below = f"{absolute.relative_to(above).as_posix()}/"
        yield [Place(tree, above) for tree in trees if any(entry.holds(below) for entry in tree.entries)]
    children = _subfolders(given)
    yield [Place(tree, child) for child in children for tree in trees]
    yield [Place(tree, folder) for child in children for folder in _subfolders(child) for tree in trees]


def _subfolders(folder: Path) -> list[Path]:
    try:
        found = subfolders(folder)
    except InputError:  # not ours to read, so not what the user means
        return []
    return [folder / name for name in found] if len(found) <= _CROWD else []


def _refusal(given: Path, trees: Sequence[Tree]) -> InputError:
    """What to say where none is complete: what the nearest one lacks, and how it should look."""
    places = [place for group in _candidates(given, trees) for place in group]
    nearest = max(places, key=_present)  # the first of equals
    if not _present(nearest):
        nearest = places[0]
    missing = nearest.tree.missing(nearest.folder)
    names = listed(entry.shown for entry in missing)
    lacks = f"{names} {'is' if len(missing) == 1 else 'are'} missing"
    if nearest.folder != given:
        lacks = f"the closest match is {nearest.folder}, where {lacks}"
    elif not _present(nearest):
        lacks = "none of its files are there"
    others = [
        ", ".join(entry.shown for entry in tree.entries if not entry.optional)
        for tree in trees
        if tree is not nearest.tree
    ]
    also = "".join(f"\nor a folder with {other}" for other in others)
    told = f"root: {given} is not {nearest.tree.title}: {lacks}. Expected:"
    return InputError(told, drawing=nearest.tree.drawn(missing) + also)


def _present(place: Place) -> int:
    required = sum(not entry.optional for entry in place.tree.entries)
    return required - len(place.tree.missing(place.folder))
