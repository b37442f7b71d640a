"""Images and labels for training and evaluation, a batch at a time."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.enlarged import Enlarged
from lit_coiba.data.mapped import AnyBatch, check_importance, first_of, mapped_batch
from lit_coiba.data.transforms import Transform, plane_of


class LabelledImages(Dataset[AnyBatch]):
    """A dataset as batches of model input ``(B, 3, H, W)`` and class indices ``(B,)`` int64; with maps if asked for.

    Args:
        dataset: Images with a label each.
        transform: Transform from a picture to model input.
        augment: Cut a random part (8% to 100% of the area, as Szegedy et al., 2015, trained) and mirror half of the
            pictures, instead of the evaluation recipe's center. Draws from torch's global generator.
        num_classes: Number of the model's classes; None = unknown.

    Raises:
        InputError: A label is no class of the model.
    """

    def __init__(
        self, dataset: ImageDataset, transform: Transform, augment: bool = False, num_classes: int | None = None
    ) -> None:
        if num_classes and max(dataset.labels, default=-1) >= num_classes:
            index = next(index for index, label in enumerate(dataset.labels) if label >= num_classes)
            raise InputError(
                f"sample {printable(dataset.ids[index], 100)} has label {dataset.labels[index]}, but the model has "
                f"{num_classes} classes, 0 to {num_classes - 1}: check the labels, or give the model's num_classes"
            )
        self.dataset = dataset
        self.transform = transform
        self.enlarged = Enlarged(transform)
        self._labels_read, self._importance_read = True, False
        self.augmentation: v2.Transform | None = None
        if augment:
            size = list(transform.preprocessing.size)
            crop = v2.RandomResizedCrop(size, interpolation=transform.interpolation)
            self.augmentation = v2.Compose([crop, v2.RandomHorizontalFlip(), v2.PILToTensor()])

    def ignore_labels(self) -> None:
        """Let samples be without a label, for a model that does not read them; theirs is -1."""
        self._labels_read = False

    def read_importance(self) -> None:
        """Give every batch as a `MappedBatch` from now on; maps are cropped and mirrored as their pictures are."""
        self._importance_read = True

    @property
    def random(self) -> bool:
        """Whether a sample is another one each time."""
        return self.augmentation is not None

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> AnyBatch:
        return first_of(self.__getitems__([index]))

    def __getitems__(self, indices: list[int]) -> AnyBatch:
        """What a DataLoader asks for: a whole batch.

        Raises:
            InputError: A picture or its map cannot be read, or has no label.
        """
        pixels, maps = zip(*(self._sample(index) for index in indices))
        images = self.transform.normalize(torch.stack(pixels))
        targets = torch.tensor([self._label(index) for index in indices])
        return mapped_batch(images, targets, maps) if self._importance_read else (images, targets)

    def _sample(self, index: int) -> tuple[Tensor, Tensor | None]:
        """The pixels of a sample, and where they are important ``(H, W)``; None = unknown, or not asked for."""
        try:
            image = self.dataset.image(index)
            map = self.dataset.importance(index) if self._importance_read else None
            if map is not None:
                check_importance(map, image.height, image.width)
            found = self._transformed(image, map)
        except (OSError, InputError) as error:
            name = printable(self.dataset.ids[index], 100)
            raise InputError(f"sample {name}: {error}; fix the file or remove it") from error
        self.enlarged.look(image, self.dataset.ids[index])
        return found

    def _transformed(self, image: Image.Image, map: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if self.augmentation is None:
            return self.transform.pixels(image), None if map is None else self.transform.importance(map)
        if map is None:
            return self.augmentation(image), None
        pixels, values = self.augmentation(image, plane_of(map))
        return pixels, values[0].clamp_min(0)  # below which a bicubic resize goes beside an edge

    def _label(self, index: int) -> int:
        label = self.dataset.labels[index]
        if label < 0 and self._labels_read:
            raise InputError(
                f"sample {printable(self.dataset.ids[index], 100)} has no label, but fit, validate and test need "
                "labels: use class folders, or a CSV with labels"
            )
        return label
