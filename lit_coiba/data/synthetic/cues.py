"""Two patches that show the class redundantly: what a model relies on is its own choice, and can be measured.

After the toy of harmonization with two cues: people mark the left one, so a model may look there and still use the
right one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.synthetic.labels import balanced_labels

Cues = Literal["both", "left", "right"]

SIZE = 32  # height and width in pixels
PATCH = 12  # side of a patch in pixels
PATTERNS = ("rows", "columns", "checks", "quarters")  # names of the classes
PLACES = {"left": (10, 2), "right": (10, 18)}  # upper left corners

_BLOCK = 3  # side in pixels of the squares that patterns are made of
_GRAY, _GAIN = 127.5, 32.0  # gray level of 0, and gray levels of the noise's standard deviation


class TwoCuesDataset(ImageDataset):
    """Pictures of gray noise with a faint pattern on the left and the same on the right; it tells the class.

    The patterns of the classes are orthogonal, so the better part of what one can know of the class is in either patch.
    The region is where patterns are shown, and the importance is the left patch, whatever is shown. A sample without
    one of the cues has the same noise. Nothing is read from disk: a sample is a function of (seed, its number).

    Args:
        numbers: Numbers of the samples, ascending.
        classes: Number of classes, 2 or 4.
        contrast: Amplitude of the pattern in standard deviations of the noise, above 0. Whoever knows the patterns is
            right of two classes with probability Phi(8.5 contrast) from one patch, and Phi(12 contrast) from both.
        cues: What is shown: ``both``, ``left`` or ``right``.
        seed: Another seed gives other samples.

    Raises:
        InputError: An argument is out of its range.

    Example:
        >>> dataset = TwoCuesDataset(range(4))
        >>> dataset.image(0).size, dataset.region(0).sum(), dataset.importance(0).sum()
        ((32, 32), tensor(288), tensor(144.))
    """

    def __init__(
        self,
        numbers: Sequence[int] = range(1000),
        classes: int = 2,
        contrast: float = 0.3,
        cues: Cues = "both",
        seed: int = 0,
    ) -> None:
        if classes not in (2, 4):
            raise InputError(f"classes is {classes}: give 2 or 4")
        if not 0 < contrast < float("inf"):
            raise InputError(f"contrast is {contrast}: give a number above 0, such as 0.3")
        if seed < 0:
            raise InputError(f"seed is {seed}: give 0 or more")
        self.numbers, self.contrast, self.seed = list(numbers), contrast, seed
        self.cues = check_choice(cues, Cues, "cues")
        self.ids = [f"cues-{number:06d}" for number in self.numbers]
        self.labels = balanced_labels(seed, self.numbers, classes)
        self.classes = list(PATTERNS[:classes])

    def identity(self) -> dict[str, Any]:
        """Class and arguments: a sample is a function of these and its number."""
        names = ("contrast", "cues", "seed")
        return {**super().identity(), **{name: getattr(self, name) for name in names}, "classes": len(self.classes)}

    def image(self, index: int) -> Image.Image:
        """The sample as an RGB picture."""
        levels = np.clip(_GRAY + _GAIN * self._values(index) + 0.5, 0, 255).astype(np.uint8)
        return Image.fromarray(np.repeat(levels[..., None], 3, axis=2))

    def region(self, index: int) -> Tensor:
        """Where patterns are shown, bool ``(32, 32)``."""
        mask = torch.zeros(SIZE, SIZE, dtype=torch.bool)
        for side in self._shown:
            mask[_at(side)] = True
        return mask

    def region_version(self, index: int) -> str:
        """Known: the region goes with the sample."""
        return "drawn"

    def importance(self, index: int) -> Tensor:
        """1 on the left patch, 0 elsewhere, float32 ``(32, 32)``."""
        map = torch.zeros(SIZE, SIZE)
        map[_at("left")] = 1
        return map

    def importance_version(self, index: int) -> str:
        """Known: it is always the same."""
        return "left"

    @property
    def _shown(self) -> tuple[str, ...]:
        return tuple(PLACES) if self.cues == "both" else (self.cues,)

    def _values(self, index: int) -> NDArray[np.float64]:
        """What the picture shows around its middle gray, in standard deviations of the noise, ``(32, 32)``."""
        values = np.random.Generator(np.random.PCG64([self.seed, self.numbers[index], 13])).standard_normal(
            (SIZE, SIZE)
        )
        for side in self._shown:
            values[_at(side)] += self.contrast * pattern(self.labels[index])
        return values


def pattern(number: int) -> NDArray[np.float64]:
    """What shows a class: 1 and -1, as many of both, ``(12, 12)``.

    Example:
        >>> [int((pattern(0) * pattern(other)).sum()) for other in range(4)]
        [144, 0, 0, 0]
    """
    fine, coarse = np.array([1.0, -1.0, 1.0, -1.0]), np.array([1.0, 1.0, -1.0, -1.0])
    rows, columns = [(fine, np.ones(4)), (np.ones(4), fine), (fine, fine), (coarse, coarse)][number]
    found: NDArray[np.float64] = np.kron(np.outer(rows, columns), np.ones((_BLOCK, _BLOCK))).astype(np.float64)
    return found


def _at(side: str) -> tuple[slice, slice]:
    """The pixels of a patch."""
    top, left = PLACES[side]
    return slice(top, top + PATCH), slice(left, left + PATCH)
