"""SyntheticParts: a generated dataset of objects made of parts, whose classes are known to depend on the parts alone.

After FunnyBirds (Hesse, Schaub-Meyer, Roth, 2023, arXiv 2308.06248): every part and every background object of a sample
can be removed, and parts swapped, so what an explanation should say is known.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.keypoints import Keypoints
from lit_coiba.data.synthetic.classes import NUM_CLASSES, PARTS, VARIANTS, class_table, part_index, present_parts
from lit_coiba.data.synthetic.rendering import Layers, render_layers
from lit_coiba.data.synthetic.scene import sample_scenes
from lit_coiba.data.synthetic.shapes import VARIANTS_OF

Split = Literal["train", "val", "test"]

SPLITS: dict[str, range] = {"train": range(10_000), "val": range(10_000, 11_000), "test": range(11_000, 12_000)}

_CHUNK = 64  # samples rendered together: each costs a fifth of what one alone does


class SyntheticPartsDataset(ImageDataset):
    """Pictures of birds with a beak, an eye, a foot, a tail and a wing, each of one of four kinds.

    A class is a combination of five kinds. Nothing is read from disk: sample i is a function of (seed, i), the same on
    every machine, and every size shows the same scenes.

    Args:
        split: train (10,000 samples), val (1,000) or test (1,000).
        size: Height and width in pixels, a multiple of 8 from 32 on.
        seed: Another seed gives other samples of the same classes.
        cache: Keep what was rendered, 29 kB a sample at size 64 (the training split: 290 MB).

    Raises:
        InputError: An argument is out of its range.

    Example:
        >>> dataset = SyntheticPartsDataset("test")
        >>> dataset.ids[0], dataset.image(0).size, dataset.masks(0).shape
        ('synthetic-011000', (64, 64), torch.Size([5, 64, 64]))
    """

    def __init__(self, split: Split = "train", size: int = 64, seed: int = 0, cache: bool = True) -> None:
        if split not in SPLITS:
            raise InputError(f"split is {split!r}, but SyntheticParts has {', '.join(SPLITS)}: choose one of these.")
        if size < 32 or size % 8:
            raise InputError(
                f"size is {size}, but SyntheticParts draws images whose size is a multiple of 8 and at least 32 pixels."
            )
        if seed < 0:
            raise InputError(f"seed is {seed}, but must not be negative: choose 0 or more.")
        self.split, self.size, self.seed = split, size, seed
        self.indices = SPLITS[split]
        self.ids = [f"synthetic-{index:06d}" for index in self.indices]
        self.labels = _labels(seed, self.indices)
        self.classes = ["-".join(_name(part, variant) for part, variant in zip(PARTS, row)) for row in class_table()]
        self._cached = _Cache(len(self.ids), size) if cache else None

    @property
    def num_classes(self) -> int:
        """20."""
        return NUM_CLASSES

    @property
    def class_parts(self) -> Tensor:
        """The variant of each part of each class, int64 ``(20, 5)``."""
        return torch.tensor(class_table())

    def identity(self) -> dict[str, Any]:
        """Class, size and seed: a sample is a function of these and its number."""
        return {**super().identity(), "size": self.size, "seed": self.seed}

    def region_version(self, index: int) -> str:
        """Known: the region goes with the sample."""
        return "drawn"

    def image(self, index: int) -> Image.Image:
        """The sample as an RGB picture."""
        return Image.fromarray(self.pixels(index).permute(1, 2, 0).contiguous().numpy())

    def pixels(self, index: int) -> Tensor:
        """The sample as uint8 ``(3, H, W)``."""
        return torch.from_numpy(self.layers([index]).full[0])

    def masks(self, index: int, swap: Mapping[str, int] | None = None) -> Tensor:
        """Where each part is, its line included, bool ``(5, H, W)`` in the order of `PARTS`; they never overlap.

        Args:
            index: Which sample.
            swap: The variant, 0 to 3, that a part has instead of its class's, as in `render`.
        """
        layers = self._rendered(index, swap) if swap else self.layers([index])
        return torch.from_numpy(layers.owner[0] == np.arange(1, len(PARTS) + 1)[:, None, None])

    def region(self, index: int) -> Tensor:
        """Where the evidence for the class is: the union of the parts, bool ``(H, W)``."""
        return self.masks(index).any(0)

    def parts(self, index: int) -> Keypoints:
        """A point on each part, in the order of `PARTS`: the middle of that pixel of its mask nearest to its centroid.

        The centroid of a bent part, or of one that another part covers in its middle, may lie beside it; the point
        never does. A part without pixels is not visible.
        """
        masks = self.masks(index)
        xy = torch.stack([_middle(mask) for mask in masks])
        return Keypoints(PARTS, xy, masks.flatten(1).any(1))

    def object_mask(self, index: int) -> Tensor:
        """Where the object is: body and parts, bool ``(H, W)``."""
        return torch.from_numpy(self.layers([index]).owner[0] > 0)

    def variants(self, index: int) -> tuple[int, ...]:
        """The variant of each part, in the order of `PARTS`."""
        return class_table()[self.labels[index]]

    def num_background(self, index: int) -> int:
        """How many background objects the sample has, 2 to 4."""
        return int(sample_scenes(self.seed, [self.indices[index]]).objects.number[0])

    def render(
        self,
        index: int,
        without: Iterable[str] = (),
        swap: Mapping[str, int] | None = None,
        without_background: Collection[int] = (),
        background: bool = True,
    ) -> Tensor:
        """The sample again after an intervention, uint8 ``(3, H, W)``.

        Args:
            index: Which sample.
            without: Parts to remove.
            swap: The variant, 0 to 3, that a part has instead of its class's.
            without_background: Background objects to remove, by number below `num_background`.
            background: Whether to draw the background and all its objects; False leaves a flat gray instead.

        Raises:
            InputError: There is no such part, variant or background object, or a part is both removed and swapped.
        """
        present = present_parts(without)
        both = [part for part in swap or {} if not present[part_index(part)]]
        if both:
            raise InputError(f"Part {both[0]!r} is in without and in swap: name it in one of them.")
        if without_background:
            self._check_background(index, without_background)
        if swap or without_background or not background:
            layers = self._rendered(index, swap, without_background, background)
        else:
            layers = self.layers([index])
        return torch.from_numpy(_shown(layers, present.numpy()[None])[0])

    def without_each_object(self, index: int) -> Tensor:
        """The sample without one of its N background objects at a time, uint8 ``(N, 3, H, W)``."""
        return torch.stack([self.render(index, without_background=[k]) for k in range(self.num_background(index))])

    def background_masks(self, index: int) -> Tensor:
        """Where each background object is seen: pixels that differ without it, bool ``(N, H, W)``."""
        return (self.without_each_object(index) != self.pixels(index)).any(1)

    def subsets(self, index: int, present: Tensor) -> Tensor:
        """The sample with some of its parts, many times: bool ``(S, 5)`` -> uint8 ``(S, 3, H, W)``.

        Raises:
            InputError: `present` has another shape.
        """
        if present.dim() != 2 or present.shape[1] != len(PARTS):
            raise InputError(f"present has shape {tuple(present.shape)}, but must be (S, 5): one row a picture.")
        return torch.from_numpy(_shown(self.layers([index]), present.cpu().numpy()))

    def batch(self, indices: Sequence[int], present: Tensor | None = None) -> Tensor:
        """Samples, each with some of its parts (None = all): bool ``(B, 5)`` -> uint8 ``(B, 3, H, W)``.

        Raises:
            InputError: `present` has another shape.
        """
        if present is not None and tuple(present.shape) != (len(indices), len(PARTS)):
            raise InputError(
                f"present has shape {tuple(present.shape)}, but must be ({len(indices)}, 5): one row a sample."
            )
        layers = self.layers(indices)
        return torch.from_numpy(layers.full if present is None else _shown(layers, present.cpu().numpy()))

    def layers(self, indices: Sequence[int]) -> Layers:
        """Samples taken apart into a picture with parts, one without, and who owns which pixel (copies)."""
        indices = [range(len(self))[i] for i in indices]
        if self._cached is None:
            return self._render(indices)
        missing = sorted({i // _CHUNK for i in indices if not self._cached.filled[i]})
        for chunk in missing:
            members = range(chunk * _CHUNK, min((chunk + 1) * _CHUNK, len(self)))
            self._cached.put(members, self._render(members))
        return self._cached.get(indices)

    def fill(self) -> None:
        """Render the entire split into the cache now; data-loading processes forked after this share it."""
        for start in range(0, len(self), _CHUNK):
            self.layers([start])

    def __getstate__(self) -> dict[str, Any]:
        """Spawned processes start with an empty cache."""
        cached = None if self._cached is None else _Cache(len(self), self.size)
        return {**self.__dict__, "_cached": cached}

    def _render(self, indices: Sequence[int]) -> Layers:
        scenes = sample_scenes(self.seed, [self.indices[i] for i in indices])
        return render_layers(scenes, np.array([self.variants(i) for i in indices]), self.size)

    def _rendered(
        self,
        index: int,
        swap: Mapping[str, int] | None = None,
        without_background: Collection[int] = (),
        background: bool = True,
    ) -> Layers:
        variants = list(self.variants(index))
        for part, variant in (swap or {}).items():
            if not 0 <= variant < VARIANTS:
                raise InputError(f"swap asks for variant {variant} of part {part!r}: variants are 0 to {VARIANTS - 1}.")
            variants[part_index(part)] = variant
        scenes = sample_scenes(self.seed, [self.indices[index]])
        return render_layers(scenes, np.array([variants]), self.size, without_background, background)

    def _check_background(self, index: int, numbers: Collection[int]) -> None:
        count = self.num_background(index)
        for number in numbers:
            if not 0 <= number < count:
                raise InputError(
                    f"without_background names object {number}, but sample {self.ids[index]} has {count}: "
                    f"give numbers from 0 to {count - 1}."
                )


def _middle(mask: Tensor) -> Tensor:
    """The middle of the pixel of a mask ``(H, W)`` nearest to its centroid, x and y, ``(2,)``; 0 without pixels."""
    places = mask.nonzero().float()  # row, column
    if not len(places):
        return torch.zeros(2)
    nearest = (places - places.mean(0)).square().sum(1).argmin()
    return places[nearest].flip(0) + 0.5


def _name(part: str, variant: int) -> str:
    return VARIANTS_OF[part][variant].name


def _labels(seed: int, indices: range) -> list[int]:
    """As many samples of every class, in random order."""
    draws = np.random.Generator(np.random.PCG64([seed, indices.start, 1])).random(len(indices))
    labels: list[int] = (np.argsort(draws, kind="stable") % NUM_CLASSES).tolist()
    return labels


def _shown(layers: Layers, present: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Pictures with only the parts that are present: ``(B, 5)``, or ``(S, 5)`` for one sample -> ``(., 3, H, W)``."""
    removed = np.zeros((len(present), len(PARTS) + 2), dtype=bool)
    removed[:, 1:-1] = ~present
    hidden = removed[np.arange(len(present))[:, None, None], layers.owner]
    return np.where(hidden[:, None], layers.bare, layers.full)


class _Cache:
    """Layers of the samples rendered so far; memory is taken as it fills."""

    def __init__(self, samples: int, size: int) -> None:
        self.filled = np.zeros(samples, dtype=bool)
        self.layers = Layers(
            np.empty((samples, 3, size, size), np.uint8),
            np.empty((samples, 3, size, size), np.uint8),
            np.empty((samples, size, size), np.uint8),
        )

    def put(self, members: range, layers: Layers) -> None:
        for mine, new in zip(self.layers, layers):
            mine[members.start : members.stop] = new
        self.filled[members.start : members.stop] = True

    def get(self, indices: Sequence[int]) -> Layers:
        rows = np.asarray(indices)
        return Layers(*(mine[rows] for mine in self.layers))
