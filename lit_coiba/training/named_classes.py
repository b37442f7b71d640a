"""The class names of a classifier in training: they go into its checkpoint, and labels of data are found by them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.data.class_order import check_labels, class_order
from lit_coiba.data.dataset import ImageDataset


class NamedClasses:
    """The classes of a classifier, and which of them those of the data at hand are.

    Args:
        names: Names in index order; None = not known yet.
        backbone: Network that has these classes; it is told their names.

    Raises:
        InputError: There are more or fewer names.
    """

    names: list[str] | None

    def __init__(self, names: Sequence[str] | None, backbone: Backbone) -> None:
        count = backbone.num_classes
        if names is not None and len(names) != count:
            raise InputError(
                f"class_names has {len(names)} names, but the model has {count} classes: give one for each"
            )
        self.names = None if names is None else list(names)
        if names is not None:
            backbone.class_names = names
        self.count = count
        self._places: Tensor | None = None  # of each class of the data, its number here; None = the same

    def meet(self, images: ImageDataset, fitting: bool) -> None:
        """Compare with the classes of data by name; where they are fitted to and no names are known, take theirs.

        Raises:
            InputError: The data have a class or a label that the classifier does not have.
        """
        self._places = None
        if fitting and self.names is None and len(images.classes) == self.count:
            self.names = list(images.classes)
        order = class_order(images.classes, self.names)
        if order is None:
            check_labels(images, self.count)
        elif order.unknown:
            raise InputError(f"{order.sentence(self.names or ())}: give data of its classes")
        elif not order.identical:
            self._places = torch.tensor(order.places)

    def targets(self, targets: Tensor) -> Tensor:
        """Targets of the data, class indices ``(B,)`` or probabilities ``(B, K)``, in the order of the classifier."""
        if self._places is None:
            return targets
        places = self._places.to(targets.device)
        if targets.dim() == 1:
            return places[targets]
        return targets.new_zeros(len(targets), self.count).index_copy(1, places, targets)

    def batch(self, batch: Any) -> Any:
        """A batch with such targets: a named tuple that has them, such as `Features`, or images and targets."""
        if self._places is None:
            return batch
        targets = self.targets(batch[1])
        return batch._replace(targets=targets) if hasattr(batch, "_replace") else (batch[0], targets)
