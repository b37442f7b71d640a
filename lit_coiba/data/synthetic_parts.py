"""SyntheticParts for the Trainer: generated objects made of parts, for training and for explaining."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch.utils.data import Dataset
from torchvision.transforms.v2.functional import to_pil_image

from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.mapped import AnyBatch, first_of, mapped_batch
from lit_coiba.data.module import BlockDataModule, Examples, Split
from lit_coiba.data.passes import BatchSize
from lit_coiba.data.subset import LimitOrder
from lit_coiba.data.synthetic import DroppedPartsDataset, MultiTargetDataset, SyntheticPartsDataset
from lit_coiba.data.synthetic.classes import soft_targets
from lit_coiba.data.synthetic.evidence import evidence
from lit_coiba.data.transforms import Transform


class SyntheticParts(BlockDataModule):
    """The built-in dataset: 10,000 samples for training, 1,000 for validation and 1,000 for testing.

    Nothing is read or downloaded. Samples are cached once they are drawn, so the main process alone can feed a training
    run. Targets are class indices ``(B,)``; for objects with parts dropped they are float ``(B, 20)``.

    The other arguments are those of `BlockDataModule`.

    Args:
        size: Height and width of the images in pixels, a multiple of 8; they are resized for a model of another input
            size.
        seed: Seed of the samples; another one gives other samples of the same classes.
        split: Split to explain.
        multi_target: Whether to train with random parts dropped, with the target 1/k for the k classes that fit what is
            left; interventions that remove parts then stay in distribution. Validation and testing then have two
            loaders, ``whole`` and ``parts_dropped`` (always the same parts).
        drop_probability: Probability that parts of a sample are dropped in multi-target training.
        num_workers: Number of processes that draw samples; None = only the main process.
        limit_order: ``spread`` = evenly spaced over the split; ``first`` = the first ones.

    Raises:
        InputError: An argument is out of its range.
    """

    excluded_from_identity = BlockDataModule.excluded_from_identity | {"split", "multi_target", "drop_probability"}

    def __init__(
        self,
        size: int = 64,
        seed: int = 0,
        split: Literal["train", "val", "test"] = "test",
        multi_target: bool = True,
        drop_probability: float = 0.8,
        batch_size: BatchSize = 8,
        num_workers: int | None = None,
        limit: int | None = None,
        limit_order: LimitOrder = "spread",
    ) -> None:
        super().__init__(batch_size, num_workers, limit, limit_order)
        self.size = size
        self.seed = seed
        self.split = split
        self.multi_target = multi_target
        self.drop_probability = drop_probability
        self._datasets: dict[str, SyntheticPartsDataset] = {}
        self.drawn("predict")  # refuses bad arguments now

    def dataset(self, split: Split) -> ImageDataset:
        """The samples of a split; ``predict`` = those that are explained."""
        return self.drawn(split)

    def drawn(self, split: Split) -> SyntheticPartsDataset:
        """The same with what only this dataset has: masks of parts, interventions."""
        name = self.split if split == "predict" else split
        if name not in self._datasets:
            self._datasets[name] = SyntheticPartsDataset(name, self.size, self.seed, cache=True)
        return self._datasets[name]

    def examples(self, split: Split) -> Examples:
        """Batches for training and evaluation; soft targets only in multi-target training."""
        drawn = self.drawn(split)
        dropped = MultiTargetDataset(drawn, self.drop_probability) if self.multi_target and split == "train" else None
        return DrawnBatches(drawn, self.transform, dropped)

    def val_dataloader(self) -> Any:
        """Batches of the validation split, in order; in multi-target mode two loaders by name."""
        return self._evaluation("val")

    def test_dataloader(self) -> Any:
        """Batches of the test split, in order; in multi-target mode two loaders by name."""
        return self._evaluation("test")

    def _evaluation(self, split: Split) -> Any:
        whole = self._batches(self.examples(split))
        if not self.multi_target:
            return whole
        drawn = self.drawn(split)
        dropped = DrawnBatches(drawn, self.transform, DroppedPartsDataset(drawn))
        return {"whole": whole, "parts_dropped": self._batches(dropped)}

    def _spare_cores(self) -> int:
        return 0


class DrawnBatches(Dataset[AnyBatch]):
    """Samples as whole batches of model input ``(B, 3, H, W)`` and targets.

    Args:
        dataset: The samples.
        transform: From a picture to model input.
        dropped: The same samples with parts dropped: then these, with soft targets ``(B, K)`` instead of labels.
    """

    def __init__(
        self,
        dataset: SyntheticPartsDataset,
        transform: Transform,
        dropped: MultiTargetDataset | DroppedPartsDataset | None = None,
    ) -> None:
        self.dataset = dataset
        self.transform = transform
        self.labels = torch.tensor(dataset.labels)
        self.dropped = dropped
        self._importance_read = False

    @property
    def random(self) -> bool:
        """Whether a sample is another one each time."""
        return isinstance(self.dropped, MultiTargetDataset)

    def __len__(self) -> int:
        return len(self.dataset)

    def read_importance(self) -> None:
        """Give every batch as a `MappedBatch` from now on; of objects with parts dropped, the parts that are left."""
        self._importance_read = True

    def __getitem__(self, index: int) -> AnyBatch:
        return first_of(self.__getitems__([index]))

    def __getitems__(self, indices: list[int]) -> AnyBatch:
        """What a DataLoader asks for: a whole batch."""
        present = None if self.dropped is None else self.dropped.present_in(indices)
        pixels = self.dataset.batch(indices, present)
        if self.dropped is None or present is None:
            targets = self.labels[indices]
        else:
            targets = soft_targets(self.dropped.fits(indices, present))
        keeps = self.transform.keeps(self.dataset.size, self.dataset.size)
        if not keeps:
            pixels = torch.stack([self.transform.pixels(to_pil_image(one)) for one in pixels])
        images = self.transform.normalize(pixels)
        if not self._importance_read:
            return images, targets
        maps = list(evidence(self.dataset, indices, present))
        return mapped_batch(images, targets, maps if keeps else [self.transform.importance(one) for one in maps])
