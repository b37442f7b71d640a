"""A dataset of plain pictures, one grey level each, some of which cannot be read."""

import torch
from PIL import Image

from lit_coiba.data.dataset import ImageDataset


class Pictures(ImageDataset):
    def __init__(self, count, broken=(), size=(20, 16), error=None):
        self.ids = [f"picture_{index:04d}" for index in range(count)]
        self.labels = [index % 3 for index in range(count)]
        self.classes = ["cat", "dog", "emu"]
        self.broken = set(broken)
        self.size = size
        self.error = error or OSError("the file is torn")

    def image(self, index):
        if index in self.broken:
            raise self.error
        return Image.new("RGB", self.size, (index % 256, 100, 200))

    def region(self, index):
        return torch.arange(self.size[0]).expand(self.size[1], -1) < index
