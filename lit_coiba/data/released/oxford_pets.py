"""Oxford-IIIT Pet: 37 breeds of cats and dogs, with masks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from torch import Tensor

from lit_coiba.data.files.expected_tree import Entry, Tree
from lit_coiba.data.files.file_dataset import FileDataset
from lit_coiba.data.files.listed_files import check_listed, names_by_label
from lit_coiba.data.files.mask_file import mask_of, mask_version
from lit_coiba.data.files.text_lines import read_keyed
from lit_coiba.data.released.published import PublishedDataset

_PICTURES = "images/*.jpg"
_LISTS = {"train": "annotations/trainval.txt", "test": "annotations/test.txt"}
_MASKS = "annotations/trimaps/*.png"
_FORM = {"image": str, "class_id": int, "species": int, "breed_id": int}
_ANIMAL = 1  # value of a trimap; 2 is background, 3 the seam between them, of which it says nothing


class OxfordPets(PublishedDataset):
    """Oxford-IIIT Pet: 7,349 pictures of 37 breeds (Parkhi et al., Cats and Dogs, CVPR 2012).

    The folder is the one that torchvision's ``OxfordIIITPet`` downloads. It is read here all the same: torchvision asks
    for two folders and no file, its samples have no names, and it decodes pictures without our checks. The id of a
    picture is its file name, such as ``Abyssinian_100.jpg``. The region is what its trimap says is surely the animal.
    The split is that of ``trainval.txt`` and ``test.txt``, 3,680 for training and 3,669 for testing; a part of the
    former is held out for validation (`held_out` says which).

    The arguments and errors are those of `PublishedDataset`.
    """

    trees = (
        Tree(
            "Oxford-IIIT Pet",
            "oxford-iiit-pet",
            (
                Entry(_PICTURES, paths=("images/images/", "images/")),
                Entry(_LISTS["train"], " ".join(_FORM), (_LISTS["train"], "annotations/" + _LISTS["train"])),
                Entry(_LISTS["test"], " ".join(_FORM), (_LISTS["test"], "annotations/" + _LISTS["test"])),
                Entry(_MASKS, paths=("annotations/trimaps/", "annotations/annotations/trimaps/"), optional=True),
            ),
        ),
    )

    def read(self, part: str) -> PetsDataset:
        """The pictures of ``train`` (that is trainval) or ``test``."""
        folder, numbers = self.place.need(_PICTURES), self._numbers[part]
        names = [f"{image}.jpg" for image in numbers]
        check_listed(folder, names, self.place.need(_LISTS[part]))
        labels = [number - 1 for number in numbers.values()]
        return PetsDataset(folder, names, labels, self._classes, self.place.path(_MASKS))

    @cached_property
    def _numbers(self) -> dict[str, dict[str, int]]:
        """Split -> picture -> number of its class."""
        lists = {part: read_keyed(self.place.need(shown), _FORM) for part, shown in _LISTS.items()}
        return {part: {image: values[0] for image, values in listed.items()} for part, listed in lists.items()}

    @cached_property
    def _classes(self) -> list[str]:
        """The class of ``american_bulldog_10`` is called american bulldog."""
        images = [image.rpartition("_")[0] for numbers in self._numbers.values() for image in numbers]
        numbers = [number for numbers in self._numbers.values() for number in numbers.values()]
        return [name.replace("_", " ") for name in names_by_label(images, numbers, self.place.folder)]


class PetsDataset(FileDataset):
    """Pictures of pets with their masks.

    Args:
        root: The folder that names are relative to.
        names: File names.
        labels: Class index of each.
        classes: Class names.
        masks: The folder of trimaps, if there is one.
    """

    def __init__(
        self, root: Path, names: Sequence[str], labels: Sequence[int], classes: Sequence[str], masks: Path | None
    ) -> None:
        super().__init__(root, names, labels, classes)
        self.masks = masks

    def region(self, index: int) -> Tensor | None:
        """What is surely the animal, ``(H, W)`` bool in pixels of `image`; None where there is no trimap.

        Raises:
            OSError: A file cannot be read, or the trimap has another size than the picture.
        """
        name = self.names[index]
        if self.masks is None:
            return None
        values = mask_of(self.root / name, (self.masks / name).with_suffix(".png"))
        return None if values is None else values == _ANIMAL

    def region_version(self, index: int) -> str:
        """That of the file of the trimap."""
        return "" if self.masks is None else mask_version(self.masks / self.names[index])
