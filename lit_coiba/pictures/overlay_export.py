"""Every explanation of a store as a picture for a slide or a report: overlay, name, probability, legend."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from PIL import Image

from lit_coiba.core.errors import InputError, warn
from lit_coiba.core.printable import printable
from lit_coiba.data.files.class_names import ClassNames
from lit_coiba.data.transforms import Transform
from lit_coiba.files.given_path import given_path
from lit_coiba.files.owned import check_apart
from lit_coiba.pictures.about import explains_predictions, method_name
from lit_coiba.pictures.names import class_name
from lit_coiba.pictures.numbers import percent, rounded
from lit_coiba.pictures.order import predicted
from lit_coiba.pictures.page import FADED, Page, fitted, pil_of
from lit_coiba.pictures.painting import colors, painted_over
from lit_coiba.pictures.sample_pictures import recipe, sample_picture
from lit_coiba.pictures.scale import Scale
from lit_coiba.store import ExplanationStore, Row
from lit_coiba.store.export import export_store

FOLDER = "overlay"  # in the store
SIDE = 448  # pixels of the longer side of a picture

_MARGIN, _CAPTION, _LEGEND = 10, 40, 46
_BAR = (120, 8)


def export_overlays(
    store: ExplanationStore,
    images: str | os.PathLike[str] | None,
    output: str | os.PathLike[str] | None = None,
    classes: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Path:
    """Write every explanation of a store as a PNG: the map over what the model saw, with class, probability and legend.

    Pictures that cannot be read are left out, with a warning. The same call again does what is missing.

    Args:
        store: The store.
        images: Folder of the pictures that were explained, which ids are relative to; it has to be given, since a store
            may be someone else's.
        output: Folder for the files; None = ``overlay`` in the store.
        classes: File with the model's class names; None = those that the store has.
        progress: Whether to show a progress bar on stderr.

    Returns:
        The folder.

    Raises:
        InputError: There is no such folder of pictures, none of them can be read, or `output` cannot be written.
    """
    if images is None:
        data = store.manifest.recorded.get("data")
        root = data.get("root") if isinstance(data, dict) else None
        told = f"; they were in {printable(root, 200)}" if root else ""
        raise InputError(f"overlays need the pictures that were explained: give their folder, --images DIR{told}")
    folder = given_path(images, "images")
    if not folder.is_dir():
        raise InputError(f"images: {printable(folder, 200)} is not a folder: give the folder that was data.root")
    transform, always = (
        Transform(recipe(store.manifest.identity.get("preprocessing"), store.path)),
        explains_predictions(store.manifest),
    )
    names = ClassNames.read(given_path(classes, "classes")).names if classes is not None else store.manifest.class_names
    missing: list[str] = []

    def draw(row: Row) -> Image.Image | None:
        try:
            picture = sample_picture(folder, row.id)
        except (OSError, ValueError) as error:
            missing.append(f"{printable(row.id, 100)}: {printable(error, 100)}")
            return None
        return _page(row, transform, picture, names, method_name(store.manifest), always)

    target = store.path / FOLDER if output is None else given_path(output, "output")
    check_apart(target, "output", [folder])
    written = export_store(iter(store), len(store), store.manifest.digest, "overlay", target, progress, draw, names)
    if missing and not written:
        raise InputError(
            f"none of the {len(missing)} pictures can be read below {printable(folder, 100)} ({missing[0]}):"
            " give the folder that was data.root"
        )
    if missing:
        warn(f"{len(missing)} pictures cannot be read and have no overlay, such as {missing[0]}", stacklevel=2)
    return target


def _page(
    row: Row, transform: Transform, picture: Image.Image, names: list[str], method: str, always: bool
) -> Image.Image:
    """One overlay with a line above and a legend below."""
    pixels, scale = transform.pixels(picture), Scale.of(row.map)
    longer = max(pixels.shape[1:])
    height, width = (max(1, round(SIDE * side / longer)) for side in pixels.shape[1:])
    shown = painted_over(fitted(pixels, (height, width)), row.map, scale)
    page = Page(max(width, 320) + 2 * _MARGIN, _CAPTION + height + _LEGEND)
    room = page.width - 2 * _MARGIN
    found = predicted(row, always)
    named = page.text(_MARGIN, 26, class_name(row.target, names), room - 60, 13, bold=found.cls == row.target)
    page.text(_MARGIN + named + 8, 26, percent(row.probability), size=11)
    page.picture((page.width - width) // 2, _CAPTION, shown)
    _write_legend(page, scale, " bits" if "bits" in row.extras else "", _CAPTION + height)
    about = f"predicted: {class_name(found.cls, names)}, {percent(found.probability)}"
    below = about if found.cls not in (-1, row.target) else row.id
    right, y = page.width - _MARGIN, _CAPTION + height
    page.text(right, y + 18, method, 120, 9, align="right")
    page.text(right, y + 34, below, room - _BAR[0] - 20, 8, FADED, align="right", keep="end")
    return pil_of(page.pixels())


def _write_legend(page: Page, scale: Scale, unit: str, y: int) -> None:
    """What the colors stand for."""
    ramp = torch.linspace(-1.0 if scale.signed else 0.0, 1, _BAR[0]).expand(_BAR[1], -1)
    page.picture(_MARGIN, y + 10, colors(ramp, scale.signed))
    lowest = -scale.high if scale.signed else scale.low
    page.text(_MARGIN, y + 32, rounded(lowest), size=8, color=FADED)
    page.text(_MARGIN + _BAR[0], y + 32, f"{rounded(scale.high)}{unit}", size=8, color=FADED, align="right")
