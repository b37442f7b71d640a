"""CUB-200-2011: birds of 200 species with a box, a mask and fifteen named parts each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.data.files.boxes import Box
from lit_coiba.data.files.expected_tree import Entry, Tree
from lit_coiba.data.files.file_dataset import FileDataset
from lit_coiba.data.files.listed_files import check_listed, check_numbered, some
from lit_coiba.data.files.mask_file import mask_of, mask_version
from lit_coiba.data.files.text_lines import Form, flag, number, read_keyed
from lit_coiba.data.keypoints import Keypoints
from lit_coiba.data.released.part_places import PartPlaces
from lit_coiba.data.released.published import PublishedDataset

_ID = {"image_id": int}
_IMAGES, _LABELS, _SPLIT = "images.txt", "image_class_labels.txt", "train_test_split.txt"
_CLASSES, _BOXES = "classes.txt", "bounding_boxes.txt"
_PARTS, _PLACES = "parts/parts.txt", "parts/part_locs.txt"
_PICTURES = "images/001.Black_footed_Albatross/*.jpg"
_MASKS = "segmentations/001.Black_footed_Albatross/*.png"
_AGREED = 128  # gray level of a mask from which more than half of the annotators saw the bird there


class CUB200(PublishedDataset):
    """Caltech-UCSD Birds-200-2011: 11,788 pictures of 200 species (Wah et al., 2011, Caltech CNS-TR-2011-001).

    The id of a picture is its name in ``images.txt``. The region is its mask, in which more than half of the annotators
    saw the bird, if the folder ``segmentations`` (a separate download) is in the root or beside it; else its
    bounding box. Fifteen parts are points, `CUB200Dataset.parts`. Coordinates are taken as they stand in the files, as
    counted from 0. The split is that of ``train_test_split.txt``, 5,994 for training and 5,794 for testing; a part of
    the former is held out for validation (`held_out` says which).

    The other arguments, and the errors, are those of `PublishedDataset`.

    Args:
        root: Folder ``CUB_200_2011``; a folder above or inside it works too.
    """

    trees = (
        Tree(
            "CUB-200-2011",
            "CUB_200_2011",
            (
                Entry(_PICTURES, "a folder for each of the classes", ("images/",)),
                Entry(_IMAGES, "image_id image_name"),
                Entry(_LABELS, "image_id class_id"),
                Entry(_SPLIT, "image_id is_training_image"),
                Entry(_CLASSES, "class_id class_name"),
                Entry(_BOXES, "image_id x y width height"),
                Entry(_PARTS, "part_id part_name", optional=True),
                Entry(_PLACES, "image_id part_id x y visible", optional=True),
                Entry(_MASKS, "also beside the folder", ("segmentations/", "../segmentations/"), optional=True),
            ),
        ),
    )

    def read(self, part: str) -> CUB200Dataset:
        """The pictures of ``train`` or ``test``."""
        images = [image for image in self._names if self._training[image] == (part == "train")]
        return CUB200Dataset(
            self.place.need(_PICTURES),
            {self._names[image]: image for image in images},
            [self._numbers[image] - 1 for image in images],
            self._classes,
            {self._names[image]: [self._boxes[image]] for image in images},
            self.place.path(_MASKS),
            self._parts,
        )

    @cached_property
    def _names(self) -> dict[int, str]:
        source = self.place.need(_IMAGES)
        names = {image: name for image, (name,) in read_keyed(source, {**_ID, "image_name": str}).items()}
        check_listed(self.place.need(_PICTURES), list(names.values()), source)
        return names

    @cached_property
    def _classes(self) -> list[str]:
        """``001.Black_footed_Albatross`` is called Black footed Albatross."""
        source = self.place.need(_CLASSES)
        names = {index: name for index, (name,) in read_keyed(source, {"class_id": int, "class_name": str}).items()}
        return [name.partition(".")[2].replace("_", " ") or name for name in check_numbered(names, source)]

    @cached_property
    def _numbers(self) -> dict[int, int]:
        numbers = {image: label for image, (label,) in self._of_images(_LABELS, {"class_id": int}).items()}
        unknown = [f"{image} ({label})" for image, label in numbers.items() if not 1 <= label <= len(self._classes)]
        if unknown:
            source = self.place.folder / _LABELS
            raise InputError(f"root: in {source}, no class 1 to {len(self._classes)} is that of image {some(unknown)}")
        return numbers

    @cached_property
    def _training(self) -> dict[int, bool]:
        return {image: value for image, (value,) in self._of_images(_SPLIT, {"is_training_image": flag}).items()}

    @cached_property
    def _parts(self) -> PartPlaces | None:
        names, places = self.place.path(_PARTS), self.place.path(_PLACES)
        return PartPlaces(names, places) if names is not None and places is not None else None

    @cached_property
    def _boxes(self) -> dict[int, Box]:
        form = {"x": number, "y": number, "width": number, "height": number}
        return {
            image: Box(math.floor(x), math.floor(y), math.ceil(x + width) - 1, math.ceil(y + height) - 1)
            for image, (x, y, width, height) in self._of_images(_BOXES, form).items()
        }

    def _of_images(self, file: str, form: Form) -> dict[int, tuple[Any, ...]]:
        """What a file says of every image."""
        source = self.place.need(file)
        told = read_keyed(source, {**_ID, **form})
        for here, there, where in ((self._names, told, source), (told, self._names, self.place.folder / _IMAGES)):
            missing = [str(image) for image in here if image not in there]
            if missing:
                raise InputError(f"root: {where} has no line for image {some(missing)}")
        return told


class CUB200Dataset(FileDataset):
    """Pictures of CUB-200-2011 with their parts.

    Args:
        root: The folder that names are relative to.
        images: The number of each picture by its name.
        labels: Class index of each.
        classes: Class names.
        boxes: Bounding box of each, by name.
        masks: The folder of masks, if there is one.
        places: Where the parts are, if that is known.
    """

    def __init__(
        self,
        root: Path,
        images: dict[str, int],
        labels: Sequence[int],
        classes: Sequence[str],
        boxes: dict[str, list[Box]],
        masks: Path | None = None,
        places: PartPlaces | None = None,
    ) -> None:
        super().__init__(root, list(images), labels, classes, boxes)
        self.images = images
        self.masks = masks
        self.places = places

    def region(self, index: int) -> Tensor | None:
        """The mask of the bird, else its bounding box, ``(H, W)`` bool in pixels of `image`.

        Raises:
            OSError: A file cannot be read, or the mask has another size than the picture.
        """
        name = self.names[index]
        if self.masks is not None:
            levels = mask_of(self.root / name, (self.masks / name).with_suffix(".png"))
            if levels is not None:
                return levels >= _AGREED
        return super().region(index)

    def region_version(self, index: int) -> str:
        """That of the file of the mask; else the box."""
        if self.masks is not None and (version := mask_version(self.masks / self.names[index])):
            return version
        return super().region_version(index)

    def parts(self, index: int) -> Keypoints | None:
        """The fifteen parts of the bird in pixels of `image`; None if the folder lacks them.

        Raises:
            InputError: The files of the parts make no sense; the message names the line.
        """
        return self.places.of(self.images[self.names[index]]) if self.places is not None else None
