"""Activations of images as rows: one for each place of a layer, or one for each crop."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lit_coiba.concepts.crops import crop
from lit_coiba.core.network import SplitNetwork
from lit_coiba.prototypes.patches import Box


def activation_rows(split: SplitNetwork, images: Tensor, boxes: Sequence[Box] = (), batch_size: int = 64) -> Tensor:
    """Rows of each image, ``(B, P, c)``, without gradients.

    Args:
        split: The network, split at the layer.
        images: Normalized model input, ``(B, 3, H, W)``.
        boxes: P crops, each of which is enlarged to a whole input and averaged over the layer's places; none = the rows
            are the layer's places.
        batch_size: Number of images or crops that run at once.
    """
    grid = split.grids[0]
    if not boxes:
        activations = [split.lower(part).activation for part in images.split(batch_size)]
        return torch.cat([grid.to_spatial(part).flatten(2).transpose(1, 2) for part in activations])
    found = []
    for part in images.split(max(1, batch_size // len(boxes))):
        pooled = [
            grid.to_spatial(split.lower(some).activation).float().mean((2, 3))
            for some in crop(part, boxes).split(batch_size)
        ]
        found.append(torch.cat(pooled).unflatten(0, (len(part), len(boxes))))
    return torch.cat(found)
