"""Labels of a dataset in the order of a model's classes, found by name: a number says nothing about a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image
from torch import Tensor

from lit_coiba.backbones.class_names import imagenet_aliases, is_imagenet
from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.keypoints import Keypoints

_NAME = 40  # characters of a class name in a message


class ClassOrder(NamedTuple):
    """What the classes of data are for a model."""

    places: list[int]  # of each class of the data, its number in the model; -1 = the model does not have it
    unknown: list[str]  # names of those that it does not have

    @property
    def identical(self) -> bool:
        """Whether the numbers are the same."""
        return self.places == list(range(len(self.places)))

    def sentence(self, names: Sequence[str]) -> str:
        """What of the data the model does not know, as a clause; `names` are those of the model."""
        told = ", ".join(printable(name, _NAME) for name in self.unknown[:3]) + (
            ", ..." if len(self.unknown) > 3 else ""
        )
        own = ", ".join(printable(name, _NAME) for name in names[:3]) + (", ..." if len(names) > 3 else "")
        return f"the data have classes ({told}) that are none of the model's ({own})"


def class_order(data: Sequence[str], model: Sequence[str] | None) -> ClassOrder | None:
    """How the classes of data go with those of a model by name; None = only by number.

    That is where one of them has no names, or where there are as many of both and no name is common to them: folders
    named in one language, say, and a model whose classes have names of another one. Classes of ImageNet are also known
    by WordNet's ids and by all their lemmas; and a list of as many names, of which those that are known stand at their
    places, is another spelling of the same list.

    Example:
        >>> class_order(["cat", "dog"], ["ant", "dog", "cat"])
        ClassOrder(places=[2, 1], unknown=[])
        >>> class_order(["ant", "cat"], ["cat", "dog"]).unknown
        ['ant']
        >>> class_order(["n01", "n02"], ["cat", "dog"])
    """
    if not data or not model or len(set(model)) < len(model) or len(set(data)) < len(data):
        return None
    numbers: Mapping[str, int] = {name: number for number, name in enumerate(model)}
    if imagenet := is_imagenet(model):
        numbers = {**imagenet_aliases(len(model)), **numbers}
    places = [numbers.get(name, -1) for name in data]
    another = imagenet and all(place in (-1, number) for number, place in enumerate(places))
    if len(data) == len(model) and (max(places) < 0 or another):
        return None
    return ClassOrder(places, [name for name, place in zip(data, places) if place < 0])


class Reordered(ImageDataset):
    """A dataset with the labels and class names of a model; a class that it does not have is no label.

    Args:
        dataset: The samples.
        order: How its classes go with those of the model.
        names: Names of the model's classes.
    """

    def __init__(self, dataset: ImageDataset, order: ClassOrder, names: Sequence[str]) -> None:
        self.dataset = dataset
        self.order = order
        self.ids = dataset.ids
        self.labels = [order.places[label] if 0 <= label < len(order.places) else -1 for label in dataset.labels]
        self.classes = list(names)

    def image(self, index: int) -> Image.Image:
        """The sample as an RGB image."""
        return self.dataset.image(index)

    def region(self, index: int) -> Tensor | None:
        """Where the object is, in pixels of `image`; None = unknown."""
        return self.dataset.region(index)

    def importance(self, index: int) -> Tensor | None:
        """Where people say the evidence is, in pixels of `image`; None = unknown."""
        return self.dataset.importance(index)

    def importances(self, index: int) -> Tensor | None:
        """The same for each participant; None = not known one by one."""
        return self.dataset.importances(index)

    def suppressor(self, index: int) -> Tensor | None:
        """What says nothing about the class, but is of use to a model: a mask like `region`; None = unknown."""
        return self.dataset.suppressor(index)

    def parts(self, index: int) -> Keypoints | None:
        """Where the parts of the object are, in pixels of `image`; None = unknown."""
        return self.dataset.parts(index)

    def identity(self) -> dict[str, Any]:
        """That of the dataset: labels are compared themselves."""
        return self.dataset.identity()

    def files(self, index: int) -> Sequence[Path]:
        """The files that `image` is made from."""
        return self.dataset.files(index)

    def version(self, index: int) -> str:
        """A text that changes when the sample does."""
        return self.dataset.version(index)

    def region_version(self, index: int) -> str:
        """A text that changes when `region` does."""
        return self.dataset.region_version(index)

    def importance_version(self, index: int) -> str:
        """A text that changes when `importance` does."""
        return self.dataset.importance_version(index)


def in_order_of(dataset: ImageDataset, network: Any) -> ImageDataset:
    """A dataset with the labels of a model; itself where only numbers or nothing are known, or numbers are the same.

    Names that are not told but found, those of ImageNet, may be spelled in other ways in the data: where there are as
    many of both, and not all are the same, numbers count.

    Args:
        dataset: The samples.
        network: The model, which may have `class_names`; None = unknown.
    """
    names = getattr(network, "class_names", None)
    order = class_order(dataset.classes, names)
    if order is None or names is None or (order.identical and len(names) == len(dataset.classes)):
        return dataset
    if max(order.places) < 0:  # class folders of something else
        return dataset
    if order.unknown and len(names) == len(dataset.classes) and not _told(network):
        return dataset
    return Reordered(dataset, order, names)


def _told(network: Any) -> bool:
    from lit_coiba.backbones.class_names import are_told  # with timm, which there is no need to wait for otherwise

    return are_told(network)


def check_labels(dataset: ImageDataset, classes: int) -> None:
    """Refuse labels that a model of so many classes does not have.

    Raises:
        InputError: Naming the first sample with such a label.
    """
    for name, label in zip(dataset.ids, dataset.labels):
        if label >= classes:
            raise InputError(
                f"sample {printable(name, 80)} has label {label}, but the model has {classes} classes, 0 to "
                f"{classes - 1}: give the data of these classes, or a model of {label + 1} or more"
            )
