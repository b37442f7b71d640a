"""Squares of one of three colours, somewhere on grey."""

import numpy as np
import torch
from PIL import Image

from lit_coiba.data import BlockDataModule
from lit_coiba.data.dataset import ImageDataset

COLOURS = np.array([[220, 40, 40], [40, 220, 40], [40, 40, 220]], np.uint8)
FIRST = {"train": 0, "val": 100, "test": 200, "predict": 200}


class Squares(ImageDataset):
    def __init__(self, first, count):
        self.numbers = range(first, first + count)
        self.ids = [f"{number:04d}" for number in self.numbers]
        self.labels = [number % 3 for number in self.numbers]
        self.classes = ["red", "green", "blue"]

    def _place(self, index):
        top, left = np.random.default_rng(self.numbers[index]).integers(0, 20, 2)
        return slice(top, top + 12), slice(left, left + 12)

    def image(self, index):
        pixels = np.full((32, 32, 3), 128, np.uint8)
        pixels[self._place(index)] = COLOURS[self.labels[index]]
        return Image.fromarray(pixels)

    def region(self, index):
        mask = torch.zeros(32, 32, dtype=torch.bool)
        mask[self._place(index)] = True
        return mask


class MyData(BlockDataModule):
    """Squares.

    Args:
        count: Images of each split.
        batch_size: Images per batch.
        num_workers: Processes.
        limit: Explain this many.
    """

    def __init__(self, count: int = 12, batch_size: int = 4, num_workers: int | None = 0, limit: int | None = None):
        super().__init__(batch_size, num_workers, limit)
        self.count = count

    def dataset(self, split):
        return Squares(FIRST[split], self.count)
