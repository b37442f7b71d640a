"""TwoCues for the Trainer: the class is shown twice, and people mark one of the places."""

from __future__ import annotations

from typing import Literal

from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.module import BlockDataModule, Split
from lit_coiba.data.passes import BatchSize
from lit_coiba.data.subset import LimitOrder
from lit_coiba.data.synthetic.cues import Cues, TwoCuesDataset

SPLITS = {"train": range(4000), "val": range(4000, 4500), "test": range(4500, 5500)}


class TwoCues(BlockDataModule):
    """Pictures of 32 x 32 pixels with the same faint pattern on the left and on the right, and importance on the left.

    Nothing is read or downloaded. 4,000 samples are for training, 500 for validation and 1,000 for testing. A model
    whose saliency lies on the left may still rely on the right: ask for its accuracy with one cue, ``lit-coiba test
    --data TwoCues --data.cues right``, or for the samples in Python, ``TwoCues().drawn("test", "right")``. Training
    always shows both.

    The other arguments are those of `BlockDataModule`.

    Args:
        classes: Number of classes, 2 or 4.
        contrast: Amplitude of the pattern in standard deviations of the noise; at 0.3 one patch is a little less than
            what one needs.
        cues: What validation, testing and explaining show: ``both``, ``left`` or ``right``; the noise stays.
        seed: Seed of the samples.
        split: Split to explain.
        num_workers: Number of processes that draw samples; None = up to four.
        limit_order: ``spread`` = evenly spaced over the split; ``first`` = the first ones.

    Raises:
        InputError: An argument is out of its range.
    """

    excluded_from_identity = BlockDataModule.excluded_from_identity | {"split"}

    def __init__(
        self,
        classes: Literal[2, 4] = 2,
        contrast: float = 0.3,
        cues: Cues = "both",
        seed: int = 0,
        split: Literal["train", "val", "test"] = "test",
        batch_size: BatchSize = 8,
        num_workers: int | None = 0,
        limit: int | None = None,
        limit_order: LimitOrder = "spread",
    ) -> None:
        super().__init__(batch_size, num_workers, limit, limit_order)
        self.classes = classes
        self.contrast = contrast
        self.cues: Cues = cues
        self.seed = seed
        self.split = split
        self.dataset("predict")  # refuses bad arguments now

    def dataset(self, split: Split) -> ImageDataset:
        """The samples of a split; ``predict`` = those that are explained."""
        return self.drawn(split, "both" if split == "train" else self.cues)

    def drawn(self, split: Split, cues: Cues = "both") -> TwoCuesDataset:
        """The samples of a split with both cues, or one of them.

        Args:
            split: The split; ``predict`` = that which is explained.
            cues: What is shown.
        """
        numbers = SPLITS[self.split if split == "predict" else split]
        return TwoCuesDataset(numbers, self.classes, self.contrast, cues, self.seed)
