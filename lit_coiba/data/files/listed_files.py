"""The image files that the lists of a release name: each once, inside its folder, and there."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from lit_coiba.core.errors import InputError

_SHOWN = 3  # names in a message


def check_listed(folder: Path, names: Sequence[str], source: Path) -> None:
    """Refuse a list that names a file twice, or one that is not there.

    Folders are listed instead of asking for file after file, which on network drives takes minutes.

    Args:
        folder: Where the files are.
        names: POSIX paths relative to it.
        source: The file that lists them.

    Raises:
        InputError: A name occurs twice, is outside the folder, or has no file.
    """
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise InputError(f"root: {source} lists {some(twice)} more than once")
    there: dict[str, Collection[str]] = {}
    missing = []
    for name in names:
        below, _, file = name.rpartition("/")
        if below not in there:
            if below.startswith("/") or ".." in below.split("/"):
                raise InputError(f"root: {source} lists {name}, which is outside {folder}")
            there[below] = _files(folder / below)
        if file not in there[below]:
            missing.append(name)
    if missing:
        few = f"{len(missing)} of the {len(names)} images that {source} lists"
        raise InputError(f"root: {few} are not in {folder}: {some(missing)}; unpack the images again")


def check_numbered(names: Mapping[int, str], source: Path) -> list[str]:
    """Names in the order of their numbers.

    Raises:
        InputError: The numbers are not 1 to as many as there are.
    """
    if sorted(names) != list(range(1, len(names) + 1)):
        raise InputError(f"root: the {len(names)} numbers in {source} are not 1 to {len(names)}")
    return [names[number] for number in sorted(names)]


def names_by_label(names: Sequence[str], numbers: Sequence[int], source: Path) -> list[str]:
    """What the classes 1, 2, ... are called, where every sample has the name of its class.

    Raises:
        InputError: Samples of a class have two names, two classes have one, or the numbers are not 1 to as many as
            there are.

    Example:
        >>> names_by_label(["pug", "boxer", "pug"], [2, 1, 2], Path("list.txt"))
        ['boxer', 'pug']
    """
    pairs = sorted(set(zip(numbers, names)))
    often = Counter(number for number, _ in pairs), Counter(name for _, name in pairs)
    odd = [f"{name} ({number})" for number, name in pairs if often[0][number] > 1 or often[1][name] > 1]
    if odd:
        raise InputError(f"root: the files in {source} do not have one name and number per class: {some(odd)}")
    return check_numbered(dict(pairs), source)


def some(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are.

    Example:
        >>> some(["a", "b", "c", "d", "e"])
        'a, b, c and 2 more'
    """
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _files(folder: Path) -> Collection[str]:
    try:
        return set(os.listdir(folder))
    except OSError:
        return ()
