"""Work in fixed blocks: block k is samples k*b ... k*b+b-1 of a dataset, whoever computes it and whenever."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, distributed
from torch.utils.data import Dataset, DistributedSampler

from lit_coiba.core.batch import Batch, Failure
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.enlarged import Enlarged
from lit_coiba.data.transforms import Transform


def count_blocks(samples: int, block_size: int) -> int:
    """Number of blocks that hold `samples` samples; the last may be short.

    Example:
        >>> count_blocks(10, 4)
        3
    """
    return -(-samples // block_size)


class BlockDataset(Dataset[Batch]):
    """The blocks of a dataset: item k is a whole batch, ready for the model.

    A sample that cannot be read becomes a `Failure` of its block, never an exception: one bad file does not end a
    run over 50,000 images. A block without one readable sample has images ``(0, 3, H, W)``.
    """

    def __init__(self, dataset: ImageDataset, preprocessing: Preprocessing, block_size: int) -> None:
        self.dataset = dataset
        self.transform = Transform(preprocessing)
        self.enlarged = Enlarged(self.transform)
        self.block_size = block_size

    def __len__(self) -> int:
        return count_blocks(len(self.dataset), self.block_size)

    def __getitem__(self, block: int) -> Batch:
        if not 0 <= block < len(self):
            raise IndexError(f"block {block} of {len(self)}")
        first = block * self.block_size
        indices = range(first, min(first + self.block_size, len(self.dataset)))
        samples = [(index, self._sample(index)) for index in indices]
        pixels = [sample for _, sample in samples if isinstance(sample, Tensor)]
        read = [index for index, sample in samples if isinstance(sample, Tensor)]
        stacked = torch.stack(pixels) if pixels else torch.empty(0, 3, *self.transform.preprocessing.size)
        return Batch(
            images=self.transform.normalize(stacked),
            ids=tuple(self.dataset.ids[index] for index in read),
            labels=torch.tensor([self.dataset.labels[index] for index in read], dtype=torch.int64),
            block=block,
            failures=tuple(sample for _, sample in samples if isinstance(sample, Failure)),
        )

    def _sample(self, index: int) -> Tensor | Failure:
        try:
            image = self.dataset.image(index)
            pixels = self.transform.pixels(image)
        except Exception as error:  # whatever a user's dataset raises: recorded, and the run goes on
            return Failure.of(self.dataset.ids[index], error)
        self.enlarged.look(image, self.dataset.ids[index])
        return pixels


class BlockSampler(DistributedSampler):
    """Block numbers dealt in turn over the processes, none twice and none made up to even out the ranks.

    It is a DistributedSampler because Lightning's predict loop wraps any other sampler once more. A rank may get no
    block at all.

    Args:
        blocks: The block numbers to do, the same on every rank.
        blocks_per_process: Number of neighbors in the list that go to one process together.
        num_replicas: Number of processes; None asks torch.distributed, and is 1 where that is not initialized.
        rank: Number of this process; None likewise.
    """

    def __init__(
        self,
        blocks: Sequence[int],
        blocks_per_process: int = 1,
        num_replicas: int | None = None,
        rank: int | None = None,
    ) -> None:
        running = distributed.is_available() and distributed.is_initialized()
        replicas = num_replicas if num_replicas is not None else distributed.get_world_size() if running else 1
        number = rank if rank is not None else distributed.get_rank() if running else 0
        super().__init__(blocks, replicas, number, shuffle=False)  # type: ignore[arg-type]
        groups = [blocks[i : i + blocks_per_process] for i in range(0, len(blocks), blocks_per_process)]
        self.blocks = [block for dealt in groups[number::replicas] for block in dealt]

    def __iter__(self) -> Iterator[int]:
        return iter(self.blocks)

    def __len__(self) -> int:
        return len(self.blocks)
