"""Does a prototype look at what it is shown to look at? Its activations before and after all else has changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lit_coiba.functional.noise import keyed_noise


class Misalignment(NamedTuple):
    """What becomes of prototypes when the image changes outside the box that they are shown by, ``(B, T)`` each."""

    moved: Tensor  # bool: the cell of the largest activation is another one
    shift: Tensor  # Euclidean distance of the two cells, in cells
    activation: Tensor  # relative change of the largest activation, negative = lower; NaN where it was 0
    rank: Tensor  # int64: places by which it moves among the prototypes of the image, by largest activation


def misalignment(clean: Tensor, changed: Tensor) -> Misalignment:
    """Compare activations; a definition of our own, not the published benchmark (Sacha et al., AAAI 2024).

    Args:
        clean: Maps of T prototypes on each image ``(B, T, h, w)``.
        changed: The same on T versions of each image, version t changed outside the box of prototype t: ``(B, T, T, h,
            w)``, the version before the prototype.

    Example:
        >>> maps = torch.tensor([[[[2.0, 1.0]]]])
        >>> found = misalignment(maps, torch.tensor([[[[[1.0, 3.0]]]]]))
        >>> found.moved.item(), found.shift.item(), found.activation.item(), found.rank.item()
        (True, 1.0, 0.5, 0)
    """
    width = clean.shape[-1]
    own = changed.diagonal(dim1=1, dim2=2).movedim(-1, 1)  # (B, T, h, w): each prototype on its own version
    (before, place), (after, other) = clean.flatten(2).max(-1), own.flatten(2).max(-1)
    rows, columns = place // width - other // width, place % width - other % width
    relative = (after - before) / before.abs()
    strengths = changed.flatten(3).amax(-1)  # (B, T, T)
    places_before = (before.unsqueeze(1) > before.unsqueeze(2)).sum(2)  # how many are stronger
    places_after = (strengths > after.unsqueeze(2)).sum(2)
    return Misalignment(
        place != other,
        (rows.square() + columns.square()).double().sqrt(),
        relative.masked_fill(before == 0, torch.nan).double(),
        (places_after - places_before).abs(),
    )


def outside_noise(images: Tensor, boxes: Tensor, ids: Sequence[str], seed: int = 0) -> Tensor:
    """Images whose pixels outside a box are noise, with mean and deviation of the image's channels ``(B, T, C, H, W)``.

    Args:
        images: ``(B, C, H, W)``.
        boxes: Top, left, bottom and right of a box for each of T prototypes, in pixels, the latter two outside ``(B, T,
            4)``.
        ids: B ids of the samples, which with the seed decide the noise; all prototypes of an image share it.
        seed: Seed of the noise.

    Example:
        >>> images = torch.ones(1, 1, 2, 2)
        >>> outside_noise(images, torch.tensor([[[0, 0, 1, 2]]]), ["a"]).shape
        torch.Size([1, 1, 1, 2, 2])
    """
    height, width = images.shape[-2:]
    rows = torch.arange(height, device=images.device).view(-1, 1)
    columns = torch.arange(width, device=images.device).view(1, -1)
    top, left, bottom, right = (side[..., None, None] for side in boxes.to(images.device).unbind(-1))
    inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)  # (B, T, H, W)
    drawn = keyed_noise(seed, ids, "outside the box", images.shape[1:]).to(images)
    mean, std = images.mean((-2, -1), keepdim=True), images.std((-2, -1), keepdim=True)
    return torch.where(inside.unsqueeze(2), images.unsqueeze(1), (mean + std * drawn).unsqueeze(1))
