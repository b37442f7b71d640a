"""Optimized images of a model, as ``lit-coiba visualize`` leaves them: found by what they show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from PIL import Image

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.explorer.media import decoded
from lit_coiba.files.digests import seal_of_file
from lit_coiba.files.given_path import given_path
from lit_coiba.files.json_text import read_json
from lit_coiba.files.regular import read_bytes

VERB = "visualize"
_RUN, _ITEMS, _TOLD, _PICTURE, _TRANSPARENCY = "run.json", "items", "item.json", "picture.webp", "transparency.webp"
_LARGEST = 2**26  # bytes of a picture


class _About(msgspec.Struct):
    model: str
    preprocessing: dict[str, Any]
    class_names: list[str] = []


class _Item(msgspec.Struct):
    kind: str
    cls: int | None = None
    concept: int | None = None
    unit: int | None = None
    layer: str | None = None
    side: int | None = None


class VisualizationItems:
    """The optimized images in a folder.

    Args:
        folder: The folder.

    Raises:
        InputError: It does not say what its images are of.
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = given_path(folder, "visualizations")
        try:
            told: _About = read_json(self.path / _RUN, _About, "visualizations")
        except FileNotFoundError as error:
            raise InputError(
                f"visualizations: {printable(self.path, 200)} has no {_RUN}: run lit-coiba visualize again"
            ) from error
        self.model, self.preprocessing, self.class_names = told.model, told.preprocessing, told.class_names
        self._places: dict[tuple[str, int, int], list[tuple[str | None, Path]]] = {}
        folders = sorted((self.path / _ITEMS).iterdir()) if (self.path / _ITEMS).is_dir() else []
        for place in folders:
            try:
                item: _Item = read_json(place / _TOLD, _Item, "item")
            except (OSError, InputError):
                continue  # not whole: it is being made
            key = item.kind, item.cls if item.cls is not None else -1, _number(item)
            self._places.setdefault(key, []).append((item.layer, place))

    def __len__(self) -> int:
        return sum(map(len, self._places.values()))

    @property
    def classes(self) -> list[int]:
        """Classes that there is an image of."""
        return sorted({cls for kind, cls, _ in self._places if kind == "class" and cls >= 0})

    def of_class(self, cls: int) -> Path | None:
        """Folder of the image of a class."""
        return self._found("class", cls, -1, None)

    def of_concept(self, cls: int, concept: int, layer: str) -> Path | None:
        """Folder of the image of a concept."""
        return self._found("concept", cls, concept, layer)

    def of_unit(self, unit: int) -> Path | None:
        """Folder of the image of a unit of the head."""
        return self._found("unit", -1, unit, None)

    def _found(self, kind: str, cls: int, number: int, layer: str | None) -> Path | None:
        for of, place in self._places.get((kind, cls, number), ()):
            if layer is None or of is None or of == layer:
                return place
        return None


def visualization(place: Path) -> Image.Image | None:
    """The image in a folder of `VisualizationItems`, RGBA where its transparency is there; None where it is damaged."""
    return _opened(place / _TRANSPARENCY) or _opened(place / _PICTURE)


def visualization_seal(place: Path | None) -> str:
    """What changes when the image in a folder does."""
    if place is None:
        return ""
    try:
        return "/".join(seal_of_file(place / name) for name in (_TRANSPARENCY, _PICTURE))
    except OSError:
        return "damaged"


def _opened(file: Path) -> Image.Image | None:
    try:
        return decoded(read_bytes(file, _LARGEST))
    except (OSError, ValueError):
        return None


def _number(item: _Item) -> int:
    number = item.concept if item.kind == "concept" else item.unit
    return -1 if number is None else number
