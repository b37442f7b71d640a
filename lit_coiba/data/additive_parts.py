"""AdditiveParts for the Trainer: pictures for which it is known by construction what each part contributes."""

from __future__ import annotations

from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.module import BlockDataModule, Split
from lit_coiba.data.passes import BatchSize
from lit_coiba.data.subset import LimitOrder
from lit_coiba.data.synthetic.additive import AdditivePartsDataset

SPLITS = {"train": range(1000), "val": range(1000, 1500), "test": range(1500, 2500), "predict": range(1500, 2500)}


class AdditiveParts(BlockDataModule):
    """Five lit patches and a few gray squares, for `AdditiveClassifier`, whose logits are sums over the patches.

    Nothing is read or downloaded. A protocol that scores explanations of it has to give the true one full marks.

    The other arguments are those of `BlockDataModule`.

    Args:
        seed: Seed of the samples.
        num_workers: Number of processes that draw samples; None = up to four.
        limit_order: ``spread`` = evenly spaced over the split; ``first`` = the first ones.
    """

    def __init__(
        self,
        seed: int = 0,
        batch_size: BatchSize = 8,
        num_workers: int | None = 0,
        limit: int | None = None,
        limit_order: LimitOrder = "spread",
    ) -> None:
        super().__init__(batch_size, num_workers, limit, limit_order)
        self.seed = seed

    def dataset(self, split: Split) -> ImageDataset:
        """The samples of a split; ``predict`` = those of ``test``."""
        return AdditivePartsDataset(SPLITS[split], self.seed)
