"""Optimized images of a model, found by what they show."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from lit_coiba.core.errors import InputError
from lit_coiba.feature_visualization.visualization_item import TOLD, VisualizationItem
from lit_coiba.feature_visualization.visualization_run import ITEMS, VisualizationRun
from lit_coiba.files.digests import digest_of_file


class Visualization:
    """One of the images.

    Args:
        run: The run that it is of.
        key: Its key.
    """

    def __init__(self, run: VisualizationRun, key: str) -> None:
        self._run, self._key = run, key

    @property
    def picture(self) -> Image.Image | None:
        """The image, RGBA; None where it went away meanwhile."""
        try:
            return self._run.transparency(self._key)
        except InputError:
            return None

    @property
    def seal(self) -> str:
        """What changes when the image does: the digest of the text that has its digest."""
        try:
            return digest_of_file(self._run.path / ITEMS / self._key / TOLD)
        except OSError:
            return "gone"


class VisualizationItems:
    """The images in a folder that ``lit-coiba visualize`` has written.

    Args:
        folder: The folder.

    Raises:
        InputError: It is none of these, or damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.run = VisualizationRun(folder)
        self.path = self.run.path
        self._items: dict[tuple[str, int, int], list[VisualizationItem]] = {}
        for item in self.run.items:
            number = item.concept if item.kind == "concept" else item.unit
            key = item.kind, -1 if item.cls is None else item.cls, -1 if number is None else number
            self._items.setdefault(key, []).append(item)

    def __len__(self) -> int:
        return len(self.run)

    @property
    def classes(self) -> list[int]:
        """Classes that there is an image of."""
        return sorted({cls for kind, cls, _ in self._items if kind == "class" and cls >= 0})

    def of_class(self, cls: int) -> Visualization | None:
        """The image of a class."""
        return self._found("class", cls, -1, None)

    def of_concept(self, cls: int, concept: int, layer: str) -> Visualization | None:
        """The image of a concept of a class."""
        return self._found("concept", cls, concept, layer)

    def of_unit(self, unit: int) -> Visualization | None:
        """The image of a unit of the head."""
        return self._found("unit", -1, unit, None)

    def _found(self, kind: str, cls: int, number: int, layer: str | None) -> Visualization | None:
        for item in self._items.get((kind, cls, number), ()):
            if layer is None or item.layer in (None, layer):
                return Visualization(self.run, item.key)
        return None


def first_of(found: Iterable[Visualization | None]) -> Visualization | None:
    """The first image that is there, of several runs."""
    return next((one for one in found if one is not None), None)


def seals(found: Iterable[Visualization | None]) -> list[str]:
    """What changes when one of the images does."""
    return ["" if one is None else one.seal for one in found]
