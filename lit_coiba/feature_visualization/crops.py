"""Random crops of an image with noise, through which a model looks at it: the same for every image of a batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from lit_coiba.functional import noise, uniform

LEAST, MOST = 0.05, 1.0  # side of a crop, as a share of the image's shorter side; these are xplique's
FIRST, LAST, SPREAD = 0.5, 0.05, 0.05  # its mean at the first and at the last step, and its standard deviation
_BOXES, _NORMAL, _UNIFORM = 1, 2, 3  # what is drawn at a step; 0 is what the images begin with


def crop_boxes(seed: int, step: int, steps: int, count: int, center_std: float, mean_side: float | None) -> Tensor:
    """Squares in shares of an image, fp32 on the CPU ``(count, 3)``: center (row, column) and side.

    Sides are normal around a mean that falls linearly over the steps; centers are normal around the middle, and moved
    as far as it takes for the square to lie inside (ours).

    Args:
        seed: Seed of the draws.
        step: Number of the step, from 0 on.
        steps: Number of steps.
        count: Number of crops.
        center_std: Standard deviation of the centers.
        mean_side: Side of all crops; None = as said above.

    Example:
        >>> crop_boxes(0, 0, 1, 1, 0.0, 0.2)
        tensor([[0.5000, 0.5000, 0.2000]])
    """
    drawn = noise(seed, step, _BOXES, (count, 3))
    mean = FIRST + (LAST - FIRST) * step / max(1, steps - 1)
    sides = torch.full((count, 1), mean_side) if mean_side else mean + SPREAD * drawn[:, 2:]
    sides = sides.clamp(LEAST, MOST)
    centers = (0.5 + center_std * drawn[:, :2]).clamp(sides / 2, 1 - sides / 2)
    return torch.cat([centers, sides], 1)


def crop_noise(seed: int, step: int, count: int, size: tuple[int, int], level: float) -> Tensor:
    """Noise for the crops of a step, fp32 on the CPU ``(count, 3, h, w)``: normal, and uniform of half the size.

    Args:
        seed: Seed of the draws.
        step: Number of the step.
        count: Number of crops.
        size: Height and width of the model's input in pixels.
        level: Standard deviation of the normal part, as a share of the range of pixels; the uniform part is in
            (-level / 2, level / 2).
    """
    shape = (count, 3, *size)
    normal = noise(seed, step, _NORMAL, shape)
    return level * (normal + uniform(noise(seed, step, _UNIFORM, shape)) - 0.5)


def cropped(images: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """All crops of all images, bilinear: ``(B * k, 3, h, w)``, the crops of one image behind one another.

    A crop has the proportions of `size`; its longer side is the box's share of the image's shorter side.

    Args:
        images: Images ``(B, 3, H, W)``.
        boxes: Boxes ``(k, 3)`` of `crop_boxes`, on the device of the images.
        size: Height and width of the crops in pixels.

    Example:
        >>> images = torch.arange(16.0).view(1, 1, 4, 4)
        >>> cropped(images, torch.tensor([[0.5, 0.5, 0.5]]), (2, 2)).flatten()
        tensor([ 5.,  6.,  9., 10.])
    """
    count, shorter, longer = len(boxes), min(images.shape[-2:]), max(size)
    places = []
    for axis in (0, 1):
        pixels, length = size[axis], images.shape[-2 + axis]
        inside = (torch.arange(pixels, device=images.device) + 0.5) / pixels - 0.5
        share = boxes[:, 2:] * (shorter / length) * (pixels / longer)
        places.append(2 * (boxes[:, axis : axis + 1] + inside * share) - 1)  # (k, pixels) in [-1, 1]
    rows = places[0][:, :, None].expand(-1, -1, size[1])
    columns = places[1][:, None, :].expand(-1, size[0], -1)
    grid = torch.stack([columns, rows], -1).flatten(0, 1).to(images.dtype)  # all crops below one another
    found = grid_sample(images, grid.expand(len(images), -1, -1, -1), padding_mode="border", align_corners=False)
    return found.unflatten(2, (count, size[0])).transpose(1, 2).flatten(0, 1)
