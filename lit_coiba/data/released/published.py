"""What released datasets share: their own splits, a validation part of train, and a folder that is checked first."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Literal

from lit_coiba.core.errors import InputError
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.files.expected_tree import Tree, locate
from lit_coiba.data.fingerprint import Noticing
from lit_coiba.data.labelled import LabelledImages
from lit_coiba.data.module import BlockDataModule, Examples, Split
from lit_coiba.data.passes import BatchSize
from lit_coiba.data.released.hold_out import held_out
from lit_coiba.data.subset import LimitOrder, Subset


class PublishedDataset(BlockDataModule):
    """A published dataset in the folder that its authors released. Nothing is downloaded.

    The other arguments are those of `BlockDataModule`.

    Args:
        root: Folder of the dataset; a folder above or inside it works too.
        split: Split to explain.
        validation: Share of each class of the training split that is held out for validation; 0 = none, and `fit` runs
            without validation.
        augment: Whether to train on random crops, mirrored at random.

    Raises:
        InputError: An argument is out of its range, or files of the dataset are missing; the message shows the layout.
    """

    excluded_from_identity = BlockDataModule.excluded_from_identity | {"root", "split", "validation", "augment"}
    trees: ClassVar[tuple[Tree, ...]]
    official: ClassVar[tuple[str, ...]] = ("train", "test")  # the splits of the release

    def __init__(
        self,
        root: str,
        split: Literal["train", "val", "test"] = "test",
        validation: float = 0.1,
        augment: bool = False,
        batch_size: BatchSize = 8,
        num_workers: int | None = None,
        limit: int | None = None,
        limit_order: LimitOrder = "spread",
        fingerprint: Noticing = "time",
    ) -> None:
        super().__init__(batch_size, num_workers, limit, limit_order, fingerprint)
        if not 0 <= validation < 1:
            raise InputError(f"validation is {validation}, but must be a share from 0 to less than 1")
        self.split = split
        self.validation = validation
        self.augment = augment
        if split not in self.splits:
            raise InputError(f"split is {split!r}, but must be one of {', '.join(self.splits)}")
        self.place = locate(root, self.trees)
        self._datasets: dict[str, ImageDataset] = {}

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits there are, the held out one included."""
        return (*self.official, "val") if self.validation and "val" not in self.official else self.official

    @abstractmethod
    def read(self, part: str) -> ImageDataset:
        """A split of the release.

        Raises:
            InputError: A list of the release is missing or makes no sense, or images that it names are missing.
        """

    def dataset(self, split: Split) -> ImageDataset:
        """The samples of a split; ``predict`` = those that are explained.

        Raises:
            InputError: There is no such split, or what lists it makes no sense.
        """
        asked = self.split if split == "predict" else split
        if asked not in self.splits:
            raise InputError(f"split: {type(self).__name__} has no split {asked} here, only {', '.join(self.splits)}")
        if asked not in self._datasets:
            if asked in self.official and not (asked == "train" and self.validation):
                self._datasets[asked] = self.read(asked)
            else:
                whole = self.read("train")
                held = set(held_out(whole.ids, whole.labels, self.validation))
                self._datasets["train"] = Subset(whole, [i for i in range(len(whole)) if i not in held])
                self._datasets["val"] = Subset(whole, sorted(held))
        return self._datasets[asked]

    def examples(self, split: Split) -> Examples:
        """Files with their labels, for training and evaluation."""
        augment = self.augment and split == "train"
        return LabelledImages(self.dataset(split), self.transform, augment, self.model_classes)

    def val_dataloader(self) -> Any:
        """Batches of the validation split; fitting goes without where none is held out."""
        if self.stage == "fit" and "val" not in self.splits:
            return self.no_batches()
        return super().val_dataloader()
