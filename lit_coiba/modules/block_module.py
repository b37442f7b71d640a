"""The base of what the Trainer runs over the blocks of a dataset."""

from __future__ import annotations

from lightning import LightningModule

from lit_coiba.backbones import Backbone
from lit_coiba.backbones.trained import take_backbone
from lit_coiba.core.behavior import refuse_one_logit, refuse_without_classes
from lit_coiba.core.errors import warn
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data.class_order import Reordered
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.subset import Subset
from lit_coiba.heads.head import Head


class BlockModule(LightningModule):
    """A model that is run over the blocks of a dataset; `predict_step` does one block, a `Batch`.

    Args:
        backbone: The model.
        weights: Weights of a trained classifier, a Lightning checkpoint or safetensors; they replace the backbone's,
            and bring the head that they were trained with.
        head: The class of that head, where it is one of your own: a file never imports a class.
    """

    network: Backbone
    weights: str | None  # the file, for the manifest

    def __init__(self, backbone: Backbone, weights: str | None = None, head: type[Head] | None = None) -> None:
        super().__init__()
        self.network = take_backbone(backbone, weights, head)
        self.weights = weights

    def check_classes(self) -> None:
        """Refuse a model whose outputs are no classes of a softmax, which every row has a probability of.

        Raises:
            InputError: It has no classifier, or a single output.
        """
        refuse_without_classes(self.network)
        refuse_one_logit(self.network.num_classes, "the probability of its class is")

    @property
    def preprocessing(self) -> Preprocessing:
        """How the data module has to prepare images."""
        return self.network.preprocessing

    def check(self, images: ImageDataset) -> None:
        """Refuse images that nothing can be done with; the Trainer calls this before the first block.

        Warns of classes that the model does not have, whose images count as without a label.

        Raises:
            InputError: They lack what this module needs; or images of a batch see one another in the model.
        """
        if (behavior := self.network.behavior) is not None:
            behavior.refuse_batches()
        if unknown := self.unknown_classes(images):
            warn(f"{unknown}: their images count as without a label", stacklevel=2)

    def unknown_classes(self, images: ImageDataset) -> str:
        """Which classes of the images the model does not have by name, as a clause; empty if it has all."""
        while isinstance(images, Subset):
            images = images.dataset
        known = not isinstance(images, Reordered) or not images.order.unknown
        return "" if known else images.order.sentence(images.classes)  # type: ignore[attr-defined]

    def knows_classes(self, images: ImageDataset) -> bool:
        """Whether the labels can be classes of the model: there are as many names as classes, or none."""
        return len(images.classes) in (0, self.network.num_classes)
