"""SyntheticPatterns for the Trainer: faint patterns in noise, with suppressors."""

from __future__ import annotations

from typing import Literal

from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.module import BlockDataModule, Split
from lit_coiba.data.passes import BatchSize
from lit_coiba.data.subset import LimitOrder
from lit_coiba.data.synthetic.patterns import Background, Scenario, SyntheticPatternsDataset

SPLITS = {"train": range(10_000), "val": range(10_000, 11_000), "test": range(11_000, 12_000)}


class SyntheticPatterns(BlockDataModule):
    """A T or an L in noise, and a suppressor: evidence that methods find hard, in four scenarios.

    Nothing is read or downloaded. 10,000 samples are for training, 1,000 for validation and 1,000 for testing; each has
    a region, where the evidence is, and a suppressor, for the metrics `Precision`, `EarthMover` and `SuppressorShare`.

    The other arguments are those of `BlockDataModule`.

    Args:
        size: Height and width of the images in pixels, a multiple of 32.
        scenario: ``linear`` = T or L, each in its place; ``multiplicative`` = the same in other contrast; ``moved`` = T
            or L, anywhere and turned; ``xor`` = both, lighter or darker, and the class is whether they are the same.
        background: ``white`` noise; ``correlated`` = smoothed by a Gaussian of 10 of 64 pixels; ``none``.
        alpha: Share of the pattern in what is shown, from 0 to 1.
        suppressor: Variance of the field that is copied over that of the background; 0 = no suppressor.
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
        size: int = 64,
        scenario: Scenario = "linear",
        background: Background = "white",
        alpha: float = 0.15,
        suppressor: float = 2.0,
        seed: int = 0,
        split: Literal["train", "val", "test"] = "test",
        batch_size: BatchSize = 8,
        num_workers: int | None = None,
        limit: int | None = None,
        limit_order: LimitOrder = "spread",
    ) -> None:
        super().__init__(batch_size, num_workers, limit, limit_order)
        self.size = size
        self.scenario: Scenario = scenario
        self.background: Background = background
        self.alpha = alpha
        self.suppressor = suppressor
        self.seed = seed
        self.split = split
        self.dataset("predict")  # refuses bad arguments now

    def dataset(self, split: Split) -> ImageDataset:
        """The samples of a split; ``predict`` = those that are explained."""
        numbers = SPLITS[self.split if split == "predict" else split]
        return SyntheticPatternsDataset(
            numbers, self.size, self.scenario, self.background, self.alpha, self.suppressor, self.seed
        )
