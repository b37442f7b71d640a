"""AggAtt of a store: its maps in the order of their scores, with the pictures that they explain."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.transforms import Transform
from lit_coiba.pictures.agg_att import agg_att
from lit_coiba.store import ExplanationStore

MOST = 1000  # samples of a picture, evenly spaced: all their maps are in memory at once
Key = tuple[str, int]


class _Pictures(Sequence[Tensor]):
    """Pictures of samples, read when they are asked for."""

    def __init__(self, keys: Sequence[Key], images: ImageDataset, transform: Transform) -> None:
        self._keys, self._images, self._transform = keys, images, transform
        self._places = {name: index for index, name in enumerate(images.ids)}

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, index: int) -> Tensor:  # type: ignore[override]
        return self._transform.pixels(self._images.image(self._places[self._keys[index][0]]))

    def region(self, index: int) -> Tensor | None:
        """Where the cell, or the object, of a sample is ``(H, W)``, bool; None = unknown."""
        mask = self._images.region(self._places[self._keys[index][0]])
        return None if mask is None else self._transform.region(mask)


def best_and_worst(
    store: ExplanationStore,
    keys: Sequence[Key],
    scores: Tensor,
    images: ImageDataset,
    transform: Transform,
    title: str,
    cells: bool,
) -> Image.Image:
    """AggAtt of a store; see `agg_att`.

    Args:
        store: The explanations.
        keys: (id, target) of the samples.
        scores: Score of each ``(S,)``.
        images: Their pictures.
        transform: Transform that makes them model input.
        title: What stands above.
        cells: Whether the samples are cells of grids, whose maps are moved to the top left.
    """
    step = max(1, -(-len(keys) // MOST))
    chosen, values = list(keys)[::step], scores[::step]
    pictures = _Pictures(chosen, images, transform)
    maps = torch.stack([store[key].map for key in chosen])
    regions = [pictures.region(index) for index in range(len(chosen))] if cells else []
    known = [region for region in regions if region is not None]
    return agg_att(values, maps, pictures, title, torch.stack(known) if cells and len(known) == len(maps) else None)
