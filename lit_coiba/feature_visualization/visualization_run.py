"""A folder of optimized images of one model: what decides them, and the images."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from PIL import Image
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.feature_visualization.measures import MEASURES, Measures, read_measures
from lit_coiba.feature_visualization.visualization_item import (
    PICTURE,
    TRANSPARENCY,
    VisualizationItem,
    read_features,
    read_item,
)
from lit_coiba.files.atomic import atomically
from lit_coiba.files.digests import is_sealed, sealed
from lit_coiba.files.given_path import given_path
from lit_coiba.files.json_text import read_json, typed
from lit_coiba.files.owned import is_marked
from lit_coiba.files.regular import open_regular

VERB = "visualize"  # that the folder is marked for
RUN, ITEMS = "run.json", "items"
_SIDE = 8192  # pixels of a picture


class RunIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """What decides all images of a folder."""

    model: str  # digest of architecture and weights
    preprocessing: dict[str, Any]
    visualizer: dict[str, Any]  # class, and the arguments that decide
    class_names: list[str]  # in the order of the logits; empty = unknown
    others: dict[str, str]  # digests of the models for transferability, by name
    versions: dict[str, str]  # of what made the first image; may differ


class VisualizationRun:
    """The optimized images in a folder that ``lit-coiba visualize`` has written, also while it is being written.

    An item of which something is missing or damaged counts as missing.

    Args:
        folder: The folder.

    Raises:
        InputError: It is none of these, or what decides its images is damaged.

    Attributes:
        path: The folder.
        about: What decides the images.
        items: What is there, in the order of the keys.
        measures: Of all images together; None = not measured.
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = given_path(folder, "visualizations")
        if not is_marked(self.path, VERB):
            raise InputError(
                f"visualizations: {printable(self.path, 200)} is not a folder that lit-coiba visualize has written"
            )
        try:
            self.about = read_identity(self.path)
        except FileNotFoundError:
            raise InputError(
                f"visualizations: {printable(self.path, 200)} has no {RUN}: run lit-coiba visualize again"
            ) from None
        self.measures: Measures | None = None
        with suppress(FileNotFoundError, InputError):  # they are made again by the next run
            self.measures = read_measures(self.path / MEASURES)
        self.items = tuple(self._items())
        self._by_key = {item.key: item for item in self.items}

    def __len__(self) -> int:
        return len(self.items)

    def __contains__(self, key: object) -> bool:
        return key in self._by_key

    def __getitem__(self, key: str) -> VisualizationItem:
        if key not in self._by_key:
            raise InputError(f"visualizations: {printable(self.path, 200)} has no {printable(key, 80)}")
        return self._by_key[key]

    def picture(self, key: str) -> Image.Image:
        """The image of an item, RGB with full contrast.

        Raises:
            InputError: There is none, or it cannot be read.
        """
        return self._opened(key, PICTURE, "RGB")

    def transparency(self, key: str) -> Image.Image:
        """The image of an item, RGBA: opaque where the gradients were large.

        Raises:
            InputError: There is none, or it cannot be read.
        """
        return self._opened(key, TRANSPARENCY, "RGBA")

    def features(self, key: str) -> Tensor | None:
        """The model's features ``(C,)`` of an item, averaged over held-out crops and space; None = it has none."""
        return read_features(self.path / ITEMS / self[key].key)

    def _items(self) -> Iterator[VisualizationItem]:
        """What is whole."""
        places = sorted((self.path / ITEMS).iterdir()) if (self.path / ITEMS).is_dir() else []
        each = {} if self.measures is None else self.measures.each
        for place in places:
            if place.name.startswith("."):
                continue
            try:
                item = read_item(place)
            except (OSError, InputError):
                continue
            one = each.get(item.key)
            if one is not None and one.of == item.of:
                item = msgspec.structs.replace(item, plausibility=one.plausibility, held_out_real=one.held_out_real)
            yield item

    def _opened(self, key: str, name: str, mode: str) -> Image.Image:
        file = self.path / ITEMS / self[key].key / name
        try:
            with open_regular(file) as stream, Image.open(stream, formats=("WEBP",)) as image:
                if max(image.size) > _SIDE:
                    raise ValueError(f"it has {image.width} x {image.height} pixels")
                return image.convert(mode)
        except (OSError, ValueError) as error:
            raise InputError(
                f"visualizations: {printable(file, 200)} cannot be read: {printable(error, 200)}"
            ) from error


def read_identity(folder: Path) -> RunIdentity:
    """What decides the images of a folder.

    Raises:
        FileNotFoundError: There is no such file.
        InputError: It is damaged.
    """
    told = read_json(folder / RUN, dict[str, Any], "visualizations")
    try:
        if not is_sealed(told):
            raise ValueError("its content is not what its digest says")
        found: RunIdentity = typed(told, RunIdentity)
    except ValueError as error:
        raise InputError(
            f"visualizations: {printable(folder / RUN, 200)} is damaged: {printable(error, 200)}"
        ) from error
    return found


def claim_identity(folder: Path, identity: Mapping[str, Any], versions: Mapping[str, str]) -> None:
    """Note what decides the images of a folder, or refuse a folder where that is something else.

    Args:
        folder: The folder, which is marked already.
        identity: Plain values by the names of `RunIdentity`, but for the versions.
        versions: Versions by package.

    Raises:
        InputError: It has images of another run.
    """
    here = json.loads(json.dumps(identity))
    with suppress(FileExistsError), atomically(folder / RUN, exclusive=True) as out:
        out.write(f"{json.dumps(sealed({**here, 'versions': dict(versions)}), indent=1)}\n".encode())
    made = msgspec.to_builtins(read_identity(folder))
    if differing := [name for name in here if made[name] != here[name]]:
        raise InputError(
            f"output {printable(folder, 200)} has visualizations of another run (other"
            f" {', '.join(differing).replace('_', ' ')}): give the arguments of that run, or another folder"
        )
