"""FunnyBirds: rendered birds whose parts can be removed, with a map of the parts of each picture."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import msgspec
import torch
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.data.files.expected_tree import Entry, Tree
from lit_coiba.data.files.file_dataset import FileDataset
from lit_coiba.data.files.image_file import read_image
from lit_coiba.data.files.listed_files import check_listed
from lit_coiba.data.fingerprint import ABSENT, files_version
from lit_coiba.data.released.published import PublishedDataset
from lit_coiba.files.json_text import read_json

_CLASSES, _PARTS = "classes.json", "parts.json"
_LISTS = {"train": "dataset_train.json", "test": "dataset_test.json"}
_PICTURES = {"train": "train/0/*.png", "test": "test/0/*.png"}
_MAPS = {"train": "train_part_map/0/*.png", "test": "test_part_map/0/*.png"}
_REMOVED = {"train": "train_interventions/0/*/*.png", "test": "test_interventions/0/*/*.png"}
_LARGEST = 2**30  # bytes of the list of the training split: its scenes are described in full

# Colors of the part maps of the release; a part may have two, such as the left and the right eye.
_COLORS = {
    "beak": ((255, 255, 0),),
    "eye": ((255, 255, 253), (255, 255, 254)),
    "foot": ((255, 0, 1), (255, 0, 2)),
    "tail": ((0, 0, 255),),
    "wing": ((0, 255, 1), (0, 255, 2)),
}
_THING = (204, 204, 204)  # of the first thing in the background; the next ones have one more blue each


class _Class(msgspec.Struct):
    """A class, as ``classes.json`` has it."""

    class_idx: int
    parts: dict[str, int]


class _Scene(msgspec.Struct):
    """What is read of a scene, as the lists have it."""

    class_idx: int
    bg_objects: str = ""


class FunnyBirds(PublishedDataset):
    """FunnyBirds: 50,000 pictures for training and 500 for testing, of 50 classes.

    Hesse, Schaub-Meyer and Roth, FunnyBirds, 2023 (arXiv 2308.06248).

    The folder is the one that the release's renderer writes. A class is a combination of five parts. The region is the
    union of the parts, if the folder has part maps; with the rendered interventions of a split, its explanations can be
    scored by ``lit-coiba parts``. The id of a picture is its path below the folder of its split.

    The arguments and errors are those of `PublishedDataset`.
    """

    trees = (
        Tree(
            "FunnyBirds",
            "FunnyBirds",
            (
                Entry(_CLASSES, "class_idx and parts of each class"),
                Entry(_PARTS, "variants of each part"),
                Entry(_LISTS["train"], "a scene for each picture"),
                Entry(_LISTS["test"]),
                Entry(_PICTURES["train"], "a folder for each class", ("train/",)),
                Entry(_PICTURES["test"], paths=("test/",)),
                Entry(_MAPS["train"], paths=("train_part_map/",), optional=True),
                Entry(_MAPS["test"], paths=("test_part_map/",), optional=True),
                Entry(_REMOVED["train"], paths=("train_interventions/",), optional=True),
                Entry(_REMOVED["test"], "pictures with parts removed", ("test_interventions/",), optional=True),
            ),
        ),
    )

    def read(self, part: str) -> FunnyBirdsDataset:
        """The pictures of ``train`` or ``test``.

        Raises:
            InputError: A list is damaged, or names a class or a picture that there is not.
        """
        source, folder = self.place.need(_LISTS[part]), self.place.need(_PICTURES[part])
        scenes = read_json(source, list[_Scene], "root", _LARGEST)
        unknown = [scene.class_idx for scene in scenes if not 0 <= scene.class_idx < len(self._classes)]
        if unknown:
            raise InputError(
                f"root: {source} has class_idx {unknown[0]}, but {_CLASSES} has 0 to {len(self._classes) - 1}: restore"
                " them from the release"
            )
        names = [f"{scene.class_idx}/{number:06d}.png" for number, scene in enumerate(scenes)]
        check_listed(folder, names, source)
        things = {name: sum(map(bool, scene.bg_objects.split(","))) for name, scene in zip(names, scenes)}
        maps, removed = self.place.path(_MAPS[part]), self.place.path(_REMOVED[part])
        return FunnyBirdsDataset(folder, things, self._parts, self._classes, maps, removed)

    @cached_property
    def _parts(self) -> tuple[str, ...]:
        """Names of the parts, in order."""
        source = self.place.need(_PARTS)
        names = tuple(sorted(read_json(source, dict[str, list[dict[str, str]]], "root")))
        if names != tuple(sorted(_COLORS)):
            raise InputError(
                f"root: {source} has the parts {', '.join(printable(name, 40) for name in names)}, but FunnyBirds has"
                f" {', '.join(_COLORS)}: restore it from the release"
            )
        return names

    @cached_property
    def _classes(self) -> list[dict[str, int]]:
        """The variant of each part, by class."""
        source = self.place.need(_CLASSES)
        found = sorted(read_json(source, list[_Class], "root"), key=lambda one: one.class_idx)
        numbers = [one.class_idx for one in found]
        if numbers != list(range(len(found))) or any(set(one.parts) != set(self._parts) for one in found):
            raise InputError(
                f"root: {source} should have the classes 0, 1, ... with a variant of each of {', '.join(self._parts)}:"
                " restore it from the release"
            )
        return [one.parts for one in found]


class FunnyBirdsDataset(FileDataset):
    """Pictures of FunnyBirds, with what is known of their parts; it offers all of `PartSamples`.

    Args:
        root: The folder of the split.
        things: Number of things in the background of each picture, by its name.
        parts: Names of the parts.
        variants: The variant of each part, by class.
        maps: The folder of part maps, if there is one.
        removed: The folder of pictures with parts removed, if there is one.
    """

    def __init__(
        self,
        root: Path,
        things: dict[str, int],
        parts: tuple[str, ...],
        variants: list[dict[str, int]],
        maps: Path | None = None,
        removed: Path | None = None,
    ) -> None:
        labels = [int(name.partition("/")[0]) for name in things]
        rows = [tuple(row[part] for part in parts) for row in variants]
        classes = [
            f"{number:02d} " + " ".join(f"{part}{variant}" for part, variant in zip(parts, row))
            for number, row in enumerate(rows)
        ]
        super().__init__(root, list(things), labels, classes)
        self.things, self.part_names, self.rows = things, parts, rows
        self.maps, self.removed = maps, removed

    @property
    def class_parts(self) -> Tensor:
        """The variant of each part of each class, int64 ``(K, 5)``."""
        return torch.tensor(self.rows)

    def pixels(self, index: int) -> Tensor:
        """The sample, uint8 ``(3, H, W)``."""
        return _pixels(self.root / self.names[index])

    def region(self, index: int) -> Tensor | None:
        """Where the parts are, bool ``(H, W)``; None without part maps.

        Raises:
            OSError: The part map cannot be read.
        """
        return None if self.maps is None else self.masks(index).any(0)

    def region_version(self, index: int) -> str:
        """That of the file of the part map."""
        if self.maps is None or (version := files_version([self.maps / self.names[index]])) == ABSENT:
            return ""
        return version

    def masks(self, index: int) -> Tensor:
        """Where each part is seen, bool ``(5, H, W)``, in the order of `part_names`."""
        colors = self._colors(index)
        return torch.stack([_where(colors, _COLORS[part]) for part in self.part_names])

    def background_masks(self, index: int) -> Tensor:
        """Where each thing in the background is seen, bool ``(N, H, W)``."""
        colors, (red, green, blue) = self._colors(index), _THING
        found = [_where(colors, ((red, green, blue + k),)) for k in range(self.things[self.names[index]])]
        return torch.stack(found) if found else torch.zeros(0, *colors.shape[1:], dtype=torch.bool)

    def subsets(self, index: int, present: Tensor) -> Tensor:
        """The sample with some of its parts, many times: bool ``(S, 5)`` -> uint8 ``(S, 3, H, W)``.

        Raises:
            InputError: The folder has no pictures with parts removed.
            OSError: One of them cannot be read.
        """
        folder = self._interventions(index)
        kept = [sorted(part for part, there in zip(self.part_names, row) if there) for row in present.tolist()]
        return torch.stack([_pixels(folder / f"body_{'_'.join(parts)}.png") for parts in kept])

    def without_each_object(self, index: int) -> Tensor:
        """The sample without one thing in the background at a time, uint8 ``(N, 3, H, W)``; errors as `subsets`."""
        folder = self._interventions(index) / "background_interventions"
        found = [_pixels(folder / f"{k}.png") for k in range(self.things[self.names[index]])]
        return torch.stack(found) if found else self.pixels(index)[None][:0]

    def _interventions(self, index: int) -> Path:
        if self.removed is None:
            raise InputError(
                f"root: beside {self.root} there is no folder {self.root.name}_interventions with pictures in which"
                " parts are removed: render or download it"
            )
        return self.removed / self.names[index].removesuffix(".png")

    def _colors(self, index: int) -> Tensor:
        """The part map of a picture, uint8 ``(3, H, W)``.

        Raises:
            InputError: The folder has no part maps.
        """
        if self.maps is None:
            raise InputError(
                f"root: beside {self.root} there is no folder {self.root.name}_part_map: render or download it"
            )
        return _pixels(self.maps / self.names[index])


def _pixels(file: Path) -> Tensor:
    return pil_to_tensor(read_image(file)).contiguous()


def _where(colors: Tensor, some: tuple[tuple[int, int, int], ...]) -> Tensor:
    """Where a picture ``(3, H, W)`` has one of some colors, bool ``(H, W)``."""
    wanted = torch.tensor(some, dtype=torch.int16)  # (C, 3)
    return (colors.to(torch.int16) == wanted[:, :, None, None]).all(1).any(0)
