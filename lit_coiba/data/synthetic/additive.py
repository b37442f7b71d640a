"""Parts on a plain ground, and a classifier that adds what they contribute: what an explanation should say is known.

The additive classifier of the FunnyBirds protocol's self-test: the truth is not a matter of what a network learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from lit_coiba.core.errors import InputError
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.synthetic.classes import NUM_CLASSES, PARTS, VARIANTS, class_table
from lit_coiba.data.synthetic.labels import balanced_labels

SIZE = 64  # height and width in pixels
CONTRIBUTIONS = (1.0, 0.8, 0.6, 0.5, 0.3)  # of a part of the class's own variant, in the order of `PARTS`

_SLOTS = ((6, 6), (6, 46), (26, 26), (46, 6), (46, 46))  # upper left corners of squares of two by two patches
_PATCH = 6  # side of a patch in pixels; the variant says which of the four is lit
_LIT = ((230, 60, 40), (60, 200, 70), (250, 210, 40), (50, 90, 220), (200, 60, 190))  # color of each part
_BETWEEN = ((6, 26), (26, 6), (26, 46), (46, 26))  # squares of 12 pixels where background objects lie
_OBJECT = 7  # their side
_DRAWS = 5 + 3 * len(_BETWEEN)


class AdditivePartsDataset(ImageDataset):
    """Pictures of five lit patches, the parts, whose places tell their variants, and of two to four gray squares.

    The classes are those of SyntheticParts. Nothing is read from disk: a sample is a function of (seed, its number).

    Args:
        numbers: Numbers of the samples, ascending.
        seed: Another seed gives other samples.

    Example:
        >>> dataset = AdditivePartsDataset(range(4))
        >>> dataset.image(0).size, dataset.masks(0).sum((1, 2))
        ((64, 64), tensor([36, 36, 36, 36, 36]))
    """

    def __init__(self, numbers: Sequence[int] = range(1000), seed: int = 0) -> None:
        self.numbers, self.seed = list(numbers), seed
        self.ids = [f"additive-{number:06d}" for number in self.numbers]
        self.labels = balanced_labels(seed, self.numbers, NUM_CLASSES)
        self.classes = ["".join(map(str, row)) for row in class_table()]

    @property
    def class_parts(self) -> Tensor:
        """The variant of each part of each class, int64 ``(20, 5)``."""
        return torch.tensor(class_table())

    def identity(self) -> dict[str, Any]:
        """Class and seed: a sample is a function of this and its number."""
        return {**super().identity(), "seed": self.seed}

    def image(self, index: int) -> Image.Image:
        """The sample as an RGB picture."""
        return Image.fromarray(self.pixels(index).permute(1, 2, 0).contiguous().numpy())

    def pixels(self, index: int) -> Tensor:
        """The sample, uint8 ``(3, 64, 64)``."""
        return self.subsets(index, torch.ones(1, len(PARTS), dtype=torch.bool))[0]

    def region(self, index: int) -> Tensor:
        """Where the parts are, bool ``(64, 64)``."""
        return self.masks(index).any(0)

    def masks(self, index: int) -> Tensor:
        """Where each part is, bool ``(5, 64, 64)``."""
        own = class_table()[self.labels[index]]
        return torch.stack([patch(part, variant) for part, variant in enumerate(own)])

    def background_masks(self, index: int) -> Tensor:
        """Where each background object is, bool ``(N, 64, 64)``."""
        return self._ground(index) > 0

    def subsets(self, index: int, present: Tensor) -> Tensor:
        """The sample with some of its parts, many times: bool ``(S, 5)`` -> uint8 ``(S, 3, 64, 64)``."""
        ground = self._ground(index).amax(0)
        shown = present.cpu().to(torch.uint8)[:, :, None, None, None] * self._lit(index)
        return ground + shown.sum(1, dtype=torch.uint8)

    def without_each_object(self, index: int) -> Tensor:
        """The sample without one of its background objects at a time, uint8 ``(N, 3, 64, 64)``."""
        pixels, ground = self.pixels(index), self._ground(index)
        return pixels - ground.unsqueeze(1)

    def _lit(self, index: int) -> Tensor:
        """Each part alone, uint8 ``(5, 3, 64, 64)``."""
        colors = torch.tensor(_LIT, dtype=torch.uint8)[:, :, None, None]
        return colors * self.masks(index).unsqueeze(1).to(torch.uint8)

    def _ground(self, index: int) -> Tensor:
        """Each background object alone in its gray level, uint8 ``(N, 64, 64)``."""
        u = np.random.Generator(np.random.PCG64([self.seed, self.numbers[index], 3])).random(_DRAWS)
        count, places = 2 + int(3 * u[0]), np.argsort(u[1:5])
        found = torch.zeros(count, SIZE, SIZE, dtype=torch.uint8)
        for k in range(count):
            top, left = (
                corner + int(6 * draw)
                for corner, draw in zip(_BETWEEN[places[k]], u[5 + 3 * k : 7 + 3 * k], strict=True)
            )
            found[k, top : top + _OBJECT, left : left + _OBJECT] = 40 + int(200 * u[7 + 3 * k])
        return found


class AdditiveClassifier(nn.Module):
    """Logits that are sums over the parts of `AdditivePartsDataset`: one linear layer on pixels from 0 to 1.

    A part adds its contribution to the logits of the classes that have its variant, and nothing to the others; the
    background adds nothing. So the explanation of a class is `truth`, and a part that is removed takes exactly its
    contribution with it.

    Args:
        contributions: What each part contributes, in the order of `PARTS`, above 0.

    Raises:
        InputError: There is not one for each part, or one is not above 0.

    Example:
        >>> dataset = AdditivePartsDataset([3])
        >>> int(AdditiveClassifier()(dataset.pixels(0)[None] / 255).argmax()) == dataset.labels[0]
        True
    """

    def __init__(self, contributions: Sequence[float] = CONTRIBUTIONS) -> None:
        super().__init__()
        if len(contributions) != len(PARTS) or min(contributions) <= 0:
            raise InputError(f"contributions is {list(contributions)}: give {len(PARTS)} numbers above 0")
        self.contributions = tuple(contributions)
        self.linear = nn.Linear(3 * SIZE**2, NUM_CLASSES, bias=False)
        weights = torch.zeros(len(PARTS), VARIANTS, 3, SIZE, SIZE, dtype=torch.float64)
        for part, (contribution, color) in enumerate(zip(contributions, _LIT, strict=True)):
            for variant in range(VARIANTS):
                weights[part, variant] = contribution * 255 / (_PATCH**2 * sum(color)) * patch(part, variant)
        rows = [sum(weights[part, variant] for part, variant in enumerate(row)) for row in class_table()]
        with torch.no_grad():
            self.linear.weight.copy_(torch.stack([torch.as_tensor(row) for row in rows]).flatten(1))

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, 20)`` of pixels from 0 to 1, ``(B, 3, 64, 64)``."""
        logits: Tensor = self.linear(images.flatten(1))
        return logits

    def truth(self, images: Tensor, targets: Tensor) -> Tensor:
        """What each pixel adds to the logit of a class: ``(B, 3, 64, 64)``, ``(B,)`` -> ``(B, 64, 64)``."""
        return (self.linear.weight[targets].detach().view_as(images) * images).sum(1)


def patch(part: int, variant: int) -> Tensor:
    """Where a part of this variant is lit, bool ``(64, 64)``."""
    top, left = _SLOTS[part]
    top, left = top + _PATCH * (variant // 2), left + _PATCH * (variant % 2)
    mask = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    mask[top : top + _PATCH, left : left + _PATCH] = True
    return mask
