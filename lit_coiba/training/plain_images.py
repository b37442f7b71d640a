"""Training images as they are explained: prepared by the evaluation's recipe, without augmentation."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from torch import Tensor
from tqdm import tqdm

from lit_coiba.bottlenecks.statistics import images_of
from lit_coiba.data.blocks import BlockDataset
from lit_coiba.data.module import BlockDataModule
from lit_coiba.data.subset import limited


def plain_images(data: BlockDataModule, limit: int) -> Iterator[Tensor]:
    """Batches ``(B, 3, H, W)`` of `limit` training images at most, evenly spaced, with a bar on a terminal.

    Args:
        data: The data; its preprocessing is known.
        limit: Number of images.
    """
    blocks = BlockDataset(
        limited(data.dataset("train"), limit, "spread"), data.transform.preprocessing, data.block_size
    )
    numbers = tqdm(range(len(blocks)), "Statistics", disable=not sys.stderr.isatty(), unit="batch", leave=False)
    yield from images_of(blocks[number] for number in numbers)
