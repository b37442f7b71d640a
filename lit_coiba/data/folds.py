"""A dataset in folds: for training without one of them, for explaining as a whole."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from lit_coiba.core.errors import InputError
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.mapped import AnyBatch, first_of, with_importance
from lit_coiba.data.module import BlockDataModule, Examples, Split
from lit_coiba.data.subset import Subset, limited
from lit_coiba.functional.representativity import folds_of


class Folds(BlockDataModule):
    """The training samples of a data module in k folds of equal size, of which one is left out of training.

    ``train`` = all folds but the one that is left out, with what `data` does to training samples; ``val`` = that fold;
    ``predict`` and ``test`` = all samples, as they are. Nothing is validated while a model is trained.

    Args:
        data: The data.
        folds: Number of folds, k.
        left_out: Fold that is left out.
        seed: Seed of the shuffle; None = contiguous folds.
        images: Number of training samples that are taken, evenly spaced; None = all.

    Raises:
        InputError: There are fewer samples than folds, or samples without a label.
    """

    def __init__(
        self, data: BlockDataModule, folds: int, left_out: int, seed: int | None = 0, images: int | None = None
    ) -> None:
        super().__init__(data.batch_size, data.num_workers, fingerprint=data.fingerprint)
        self.data, self.folds, self.left_out, self.seed, self.images = data, folds, left_out, seed, images
        self.preprocessing = data.preprocessing
        self._whole = limited(data.dataset("train"), images)
        if not 2 <= folds <= len(self._whole):
            raise InputError(
                f"folds is {folds}: give 2 or more, and at most one for each of {len(self._whole)} samples"
            )
        if min(self._whole.labels, default=-1) < 0:
            raise InputError(
                "some training samples have no label, which folds of a dataset need: use class folders, or a CSV with"
                " labels"
            )
        self.fold = folds_of(len(self._whole), folds, seed)  # (N,) of each sample, in their order

    def identity(self) -> dict[str, Any]:
        """What decides the samples: the data, and how many of them are taken."""
        return {**self.data.identity(), "images": self.images}

    def dataset(self, split: Split) -> ImageDataset:
        """The samples of a split."""
        if split == "train":
            return Subset(self._whole, self._numbers(self.fold != self.left_out))
        return Subset(self._whole, self._numbers(self.fold == self.left_out)) if split == "val" else self._whole

    def setup(self, stage: str | None = None) -> None:
        """Tell the data which model they are for."""
        super().setup(stage)
        for name in ("model_preprocessing", "model_classes", "_network", "importance_read"):
            setattr(self.data, name, getattr(self, name))

    def examples(self, split: Split) -> Examples:
        """What training draws from: those of the data's own training samples that are not left out."""
        if split != "train":
            return super().examples(split)
        own = self._whole.indices if isinstance(self._whole, Subset) else range(len(self._whole))
        numbers = self._numbers(self.fold != self.left_out)
        return _Some(self.data.examples("train"), [own[number] for number in numbers])

    def val_dataloader(self) -> Any:
        """None: all models are trained for the same number of steps."""
        return self.no_batches()

    def _spare_cores(self) -> int:
        return self.data._spare_cores()

    def _numbers(self, chosen: Tensor) -> list[int]:
        return torch.nonzero(chosen)[:, 0].tolist()


class _Some(Dataset[AnyBatch]):
    """Samples `numbers` of what training draws from."""

    def __init__(self, examples: Any, numbers: list[int]) -> None:
        self.examples, self.numbers = examples, numbers

    def read_importance(self) -> None:
        """Give every batch as a `MappedBatch` from now on."""
        with_importance(self.examples)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> AnyBatch:
        return first_of(self.__getitems__([index]))

    def __getitems__(self, indices: list[int]) -> AnyBatch:
        """What a DataLoader asks for: a whole batch."""
        found: AnyBatch = self.examples.__getitems__([self.numbers[index] for index in indices])
        return found
