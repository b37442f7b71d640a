"""The verb ``export``: the maps of a store as files for other programs."""

from __future__ import annotations

import sys
from typing import Literal

from lit_coiba.cli import terminal
from lit_coiba.cli.parsing.quick_check import check_folders
from lit_coiba.cli.verb import FunctionVerb
from lit_coiba.core.printable import counted


def export(
    store: str,
    format: Literal["npz", "png", "overlay", "fiftyone"],
    output: str | None = None,
    images: str | None = None,
    classes: str | None = None,
) -> int:
    """Write every explanation of a store to its own file, and a table of all of them, explanations.csv.

    Files are named by the image's id and the explained class; folders in an id become folders, and unusual characters
    become %XX. An interrupted export continues where it stopped; existing files are kept.

    Args:
        store: Folder of the store.
        format: npz: map, probability, label and the extras of the method, for numpy.load; png: the map in colors;
            overlay: the map over its picture, with class, probability and legend; fiftyone: a dataset that FiftyOne
            opens, with the maps as heatmaps over the pictures.
        output: Folder for the files; None = a folder in the store, named like the format.
        images: Folder of the pictures that were explained (data.root), for overlay and fiftyone.
        classes: File with the model's class names, for overlay and fiftyone; None = those that the store has.
    """
    check_folders([store])  # before seconds are spent on imports
    from lit_coiba.files.given_path import given_path
    from lit_coiba.store.store import ExplanationStore

    opened = ExplanationStore(given_path(store, "store"))
    if format == "overlay":
        from lit_coiba.pictures.overlay_export import export_overlays

        folder = export_overlays(opened, images, output, classes, progress=sys.stderr.isatty())
    elif format == "fiftyone":
        from lit_coiba.pictures.fiftyone_export import export_fiftyone

        folder = export_fiftyone(opened, images, output, classes, progress=sys.stderr.isatty())
    else:
        folder = opened.export(format, output, progress=sys.stderr.isatty())
    terminal.say(f"{counted(len(opened), 'explanation')} {'is' if len(opened) == 1 else 'are'} in {folder}")
    return 0


EXPORT = FunctionVerb(
    name="export",
    summary="write the maps of a store as files for other programs: npz, png, overlays or FiftyOne",
    position=80,
    function=export,
    usage="export STORE --format npz|png|overlay|fiftyone [--output DIR] [--images DIR]",
    positional=("store",),
    resumable=True,
    examples="""\
  Pictures to look at, and numbers for another program:
    lit-coiba export runs/coiba --format png --output pictures/
    lit-coiba export runs/coiba --format npz --output numbers/
  Slides: each map over its picture, with class, probability and legend:
    lit-coiba export runs/coiba --format overlay --images images/ --output slides/
  A dataset of pictures with heatmaps, for FiftyOne's app:
    lit-coiba export runs/coiba --format fiftyone --images images/ --output heatmaps/
  In Python: numpy.load("numbers/apple/0.jpg.target3.npz")["map"]""",
)
