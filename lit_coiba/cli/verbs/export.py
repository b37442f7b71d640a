"""The verb ``export``: the maps of a store as files for other programs."""

from __future__ import annotations

import sys
from typing import Literal

from lit_coiba.cli.verb import FunctionVerb


def export(store: str, format: Literal["npz", "png"], output: str | None = None) -> int:
    """Write every explanation of a store to a file of its own, and a table of them all, explanations.csv.

    Files are named by the image's id and the class that is explained; folders in an id become folders, unusual
    characters %XX. An interrupted export goes on where it stopped, and files that are there stay.

    Args:
        store: Folder of the store.
        format: npz: map, probability, label and what else the method says, for numpy.load; png: the map in colours.
        output: Folder for the files; without, a folder named like the format, in the store.
    """
    from lit_coiba.store.store import ExplanationStore

    opened = ExplanationStore(store)
    folder = opened.export(format, output, progress=sys.stderr.isatty())
    print(f"{len(opened)} explanations are in {folder}")
    return 0


EXPORT = FunctionVerb(
    name="export",
    summary="write the maps of a store to files for other programs: npz with all numbers, or png pictures",
    position=80,
    function=export,
    usage="export STORE --format npz|png [--output DIR]",
    positional=("store",),
    resumable=True,
    examples="""\
  Pictures to look at, and numbers for another program:
    lit-coiba export runs/coiba --format png --output pictures/
    lit-coiba export runs/coiba --format npz --output numbers/
  In Python: numpy.load("numbers/apple/0.jpg.target3.npz")["map"]""",
)
