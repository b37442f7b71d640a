"""Stanford Dogs: 120 breeds, with boxes."""

from __future__ import annotations

from functools import cached_property

from lit_coiba.core.errors import InputError
from lit_coiba.data.files.expected_tree import Entry, Tree
from lit_coiba.data.files.file_dataset import FileDataset
from lit_coiba.data.files.listed_files import check_listed, names_by_label
from lit_coiba.data.files.mat_file import read_mat, text, whole
from lit_coiba.data.files.xml_boxes import XmlBoxes
from lit_coiba.data.released.published import PublishedDataset

_PICTURES = "Images/n02085620-Chihuahua/*.jpg"
_LISTS = {"train": "train_list.mat", "test": "test_list.mat"}
_BOXES = "Annotation/n02085620-Chihuahua/*"


class StanfordDogs(PublishedDataset):
    """Stanford Dogs: 20,580 pictures of 120 breeds (Khosla et al., FGVC workshop, CVPR 2011).

    The id of a picture is its name in the lists, ``n02085620-Chihuahua/n02085620_5927.jpg``. The region is the union of
    its boxes, where the folder ``Annotation`` is there. The split is that of ``train_list.mat`` and ``test_list.mat``,
    12,000 for training and 8,580 for testing; a part of the former is held out for validation (`held_out` says which).
    The pictures are from ImageNet, so a network that was trained on ImageNet may have seen the test split.

    The arguments and errors are those of `PublishedDataset`.
    """

    trees = (
        Tree(
            "Stanford Dogs",
            "stanford_dogs",
            (
                Entry(_PICTURES, "a folder for each of the breeds", ("images/Images/", "Images/", "images/")),
                Entry(_LISTS["train"], "from lists.tar", (_LISTS["train"], f"lists/{_LISTS['train']}")),
                Entry(_LISTS["test"], "from lists.tar", (_LISTS["test"], f"lists/{_LISTS['test']}")),
                Entry(_BOXES, "boxes", ("annotations/Annotation/", "Annotation/", "annotation/"), optional=True),
            ),
        ),
    )

    def read(self, part: str) -> FileDataset:
        """The pictures of ``train`` or ``test``."""
        files, numbers = self._lists[part]
        check_listed(self.place.need(_PICTURES), files, self.place.need(_LISTS[part]))
        annotations = self.place.path(_BOXES)
        boxes = XmlBoxes(annotations, depth=2, suffix="") if annotations is not None else None
        labels = [number - 1 for number in numbers]
        return FileDataset(self.place.need(_PICTURES), files, labels, self._classes, boxes)

    @cached_property
    def _lists(self) -> dict[str, tuple[list[str], list[int]]]:
        """Files of a split, and the number of the class of each."""
        lists = {}
        for part, shown in _LISTS.items():
            source = self.place.need(shown)
            files, numbers = read_mat(source, ["file_list", "labels"])
            if len(files) != len(numbers):
                raise InputError(f"root: {source} has {len(files)} files, but {len(numbers)} labels")
            where = f"a label in {source}"
            lists[part] = (
                [text(file, f"a file in {source}") for file in files],
                [whole(number, where) for number in numbers],
            )
        return lists

    @cached_property
    def _classes(self) -> list[str]:
        """``n02085620-Chihuahua`` is called Chihuahua."""
        files = [name.partition("/")[0] for files, _ in self._lists.values() for name in files]
        numbers = [number for _, numbers in self._lists.values() for number in numbers]
        folders = names_by_label(files, numbers, self.place.folder)
        return [name.partition("-")[2].replace("_", " ") or name for name in folders]
