"""Faint patterns in noise, with suppressors: pictures in which it is known what is evidence and what only looks so.

After XAI-TRIS (Clark, Wilming and Haufe, 2023, arXiv 2306.12816): classes that are linear, multiplicative, moved or
combined; backgrounds of white or correlated noise; what disturbs one part is copied to where no part is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.synthetic.labels import balanced_labels

Field = NDArray[np.float64]
Scenario = Literal["linear", "multiplicative", "moved", "xor"]
Background = Literal["white", "correlated", "none"]

CLASSES = {"linear": ("T", "L"), "multiplicative": ("T", "L"), "moved": ("T", "L"), "xor": ("different", "same")}

_FRAME = 64  # width and height in units; other sizes are multiples of 32 pixels
_BLOCK = 8  # side of a block of a pattern
_PATTERNS = (np.array([[1, 1, 1], [0, 1, 0]]), np.array([[1, 1, 1], [1, 0, 0]]))  # T and L, in blocks
_SLOTS = ((8, 6), (40, 34))  # upper left corners of T and L
_SUPPRESSOR = (40, 6)  # that of the copy, of the same size
_HEIGHT, _WIDTH = (_BLOCK * side for side in _PATTERNS[0].shape)
_LOWEST = 36  # a pattern that moves stays above, so that it never meets the copy
_SIGMA = 10  # of the correlated background
_GRAY, _GAIN = 127.5, 32.0  # gray level of 0, and gray levels of the background's standard deviation


class _Drawn(NamedTuple):
    """One sample: values around 0, and where parts and suppressor are."""

    values: Field  # (H, W)
    parts: NDArray[np.bool_]  # (H, W)
    suppressor: NDArray[np.bool_]  # (H, W)


class SyntheticPatternsDataset(ImageDataset):
    """Gray pictures of a T or an L in noise; what they show is ``alpha * pattern + (1 - alpha) * background``.

    Pattern and background have norm 1 each. In the scenario ``multiplicative`` they show ``background * (1 - alpha *
    pattern)`` instead, with a pattern of zeros and ones. A field of noise lies under the T, whether it is there or not,
    and is copied to the suppressor, where no part ever is: that says nothing about the class, but whoever looks at the
    place of the T does well to subtract it. Nothing is read from disk: a sample is a function of (seed, its number).

    Args:
        numbers: Numbers of the samples, ascending.
        size: Height and width in pixels, a multiple of 32.
        scenario: ``linear`` = T or L, each in its place; ``multiplicative`` = the same in other contrast; ``moved`` = T
            or L, anywhere and turned; ``xor`` = both, lighter or darker, and the class is whether they are the same.
        background: ``white`` noise; ``correlated`` = smoothed by a Gaussian of 10 of 64 pixels; ``none``.
        alpha: Share of the pattern, from 0 to 1.
        suppressor: Variance of the field under the T over that of the background; 0 = no suppressor.
        seed: Another seed gives other samples.

    Raises:
        InputError: An argument is out of its range, or ``multiplicative`` has no background.

    Example:
        >>> dataset = SyntheticPatternsDataset(range(4))
        >>> dataset.image(0).size, dataset.region(0).sum(), dataset.suppressor(0).sum()
        ((64, 64), tensor(512), tensor(384))
    """

    def __init__(
        self,
        numbers: Sequence[int] = range(1000),
        size: int = 64,
        scenario: Scenario = "linear",
        background: Background = "white",
        alpha: float = 0.15,
        suppressor: float = 2.0,
        seed: int = 0,
    ) -> None:
        check_choice(scenario, Scenario, "scenario")
        check_choice(background, Background, "background")
        if size < 32 or size % 32:
            raise InputError(f"size is {size}: give a multiple of 32 pixels, such as 64")
        if not 0 <= alpha <= 1:
            raise InputError(f"alpha is {alpha}: give the share of the pattern, from 0 to 1")
        if not suppressor >= 0:
            raise InputError(f"suppressor is {suppressor}: give a variance of 0 or more")
        if seed < 0:
            raise InputError(f"seed is {seed}: give 0 or more")
        if scenario == "multiplicative" and background == "none":
            raise InputError("background is none, and a multiplicative pattern is one of the background: give white")
        self.numbers, self.size, self.scenario, self.background = list(numbers), size, scenario, background
        self.alpha, self.suppressor_variance, self.seed = alpha, suppressor, seed
        self.ids = [f"pattern-{number:06d}" for number in self.numbers]
        self.labels = balanced_labels(seed, self.numbers, 2)
        self.classes = list(CLASSES[scenario])

    def identity(self) -> dict[str, Any]:
        """Class and arguments: a sample is a function of these and its number."""
        names = ("size", "scenario", "background", "alpha", "suppressor_variance", "seed")
        return {**super().identity(), **{name: getattr(self, name) for name in names}}

    def image(self, index: int) -> Image.Image:
        """The sample as an RGB picture."""
        levels = np.clip(_GRAY + _GAIN * self._drawn(index).values + 0.5, 0, 255).astype(np.uint8)
        return Image.fromarray(np.repeat(levels[..., None], 3, axis=2))

    def values(self, index: int) -> Tensor:
        """What the picture shows around its middle gray, in standard deviations of the background, fp64 ``(H, W)``."""
        return torch.from_numpy(self._drawn(index).values)

    def region(self, index: int) -> Tensor:
        """Where the evidence is, bool ``(H, W)``: the places of both patterns, or of the one that moves."""
        return torch.from_numpy(self._drawn(index).parts)

    def region_version(self, index: int) -> str:
        """Known: the region goes with the sample."""
        return "drawn"

    def suppressor(self, index: int) -> Tensor | None:
        """Where the copied field is, bool ``(H, W)``; None without one."""
        return torch.from_numpy(self._drawn(index).suppressor) if self.suppressor_variance else None

    def _drawn(self, index: int) -> _Drawn:
        rng = np.random.Generator(np.random.PCG64([self.seed, self.numbers[index], 5]))
        unit, label = self.size // 32, self.labels[index]
        noise, disturbing = rng.standard_normal((2, self.size, self.size))
        draws = rng.random(4)
        place, turns = (_SLOTS[0], 0) if self.scenario != "moved" else _somewhere(draws)
        ground = self._ground(noise)
        field = disturbing if self.background == "none" else self._ground(disturbing)
        field = np.sqrt(self.suppressor_variance) * field[self._at((0, 0), self._pixels(_HEIGHT, _WIDTH))]
        copy = np.zeros(ground.shape, dtype=bool)
        copy[self._at(_SUPPRESSOR, field.shape)] = True
        ground[copy] += field.ravel()
        turned = np.rot90(field, turns)
        ground[self._at(place, turned.shape)] += turned
        pattern, parts = np.zeros(ground.shape), np.zeros(ground.shape, dtype=bool)
        shown = self._shown(label, draws[3] < 0.5)
        for number, sign in enumerate(shown):
            blocks = _PATTERNS[number] if self.scenario != "moved" else np.rot90(_PATTERNS[number], turns)
            mask = np.kron(blocks, np.ones((_BLOCK * unit // 2,) * 2))
            where = self._at(place if self.scenario == "moved" else _SLOTS[number], mask.shape)
            if self.scenario != "moved" or sign:
                parts[where] |= mask > 0
            pattern[where] += sign * mask
        if self.scenario == "multiplicative":
            return _Drawn(_normed(ground * (1 - self.alpha * pattern)) * self.size, parts, copy)
        mixed = self.alpha * _normed(pattern) + (1 - self.alpha) * _normed(ground)
        return _Drawn(self.size * mixed, parts, copy)

    def _shown(self, label: int, light: bool) -> tuple[int, int]:
        """How T and L are shown: 1 lighter, -1 darker, 0 not at all."""
        if self.scenario == "xor":
            first = 1 if light else -1
            return first, first if label else -first
        return (0, 1) if label else (1, 0)

    def _ground(self, noise: Field) -> Field:
        """A background of variance 1, ``(H, W)``."""
        if self.background == "none":
            return np.zeros_like(noise)
        if self.background == "white":
            return noise
        from scipy.ndimage import gaussian_filter  # a tenth of a second to import

        smooth: Field = gaussian_filter(noise, _SIGMA * self.size / _FRAME, mode="wrap")
        return smooth / smooth.std()

    def _pixels(self, *units: int) -> tuple[int, ...]:
        return tuple(value * self.size // _FRAME for value in units)

    def _at(self, place: tuple[int, int], shape: tuple[int, ...]) -> tuple[slice, slice]:
        """The pixels of a box of this shape at a place in units."""
        top, left = self._pixels(*place)
        return slice(top, top + shape[0]), slice(left, left + shape[1])


def _somewhere(draws: Field) -> tuple[tuple[int, int], int]:
    """A place in units, even ones, and a number of quarter turns."""
    turns = int(4 * draws[0])
    height, width = (_HEIGHT, _WIDTH) if turns % 2 == 0 else (_WIDTH, _HEIGHT)
    top, left = (2 * int(draw * (room // 2 + 1)) for draw, room in zip(draws[1:3], (_LOWEST - height, _FRAME - width)))
    return (top, left), turns


def _normed(values: Field) -> Field:
    """With norm 1; zeros stay."""
    norm = float(np.linalg.norm(values))
    return values / norm if norm else values
