"""Square crops of images, each enlarged to a whole input of the model: what concepts are found in."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from lit_coiba.core.errors import InputError
from lit_coiba.prototypes.patches import Box, cut


def default_crop_size(size: tuple[int, int]) -> int:
    """Side of a crop in pixels, in the proportion of the paper's 64 of 224.

    Example:
        >>> default_crop_size((224, 224)), default_crop_size((64, 96))
        (64, 18)
    """
    return max(1, round(min(size) * 64 / 224))


def crop_boxes(size: tuple[int, int], side: int) -> list[Box]:
    """Boxes of square crops, row by row, that overlap by a fifth; what is left at the right and lower edge is left out.

    Args:
        size: Height and width of the image in pixels.
        side: Side of a crop in pixels.

    Raises:
        InputError: The side is larger than the image.

    Example:
        >>> len(crop_boxes((224, 224), 64)), len(crop_boxes((224, 224), 80)), crop_boxes((224, 224), 64)[1]
        (16, 9, Box(top=0, left=51, bottom=64, right=115))
    """
    if side > min(size):
        raise InputError(f"crop_size is {side}, and the images have {size[0]} x {size[1]} pixels: give a smaller one")
    stride = max(1, side * 4 // 5)
    tops, lefts = (range(0, length - side + 1, stride) for length in size)
    return [Box(top, left, top + side, left + side) for top in tops for left in lefts]


def crop(images: Tensor, boxes: Sequence[Box]) -> Tensor:
    """Crops of each image, bilinearly resized to its size, ``(B * len(boxes), 3, H, W)``: those of one image together.

    Args:
        images: ``(B, 3, H, W)``.
        boxes: What to cut out.

    Example:
        >>> crop(torch.arange(4.0).expand(1, 3, 4, 4), [Box(0, 0, 2, 2), Box(0, 2, 2, 4)])[:, 0, 0]
        tensor([[0.0000, 0.2500, 0.7500, 1.0000],
                [2.0000, 2.2500, 2.7500, 3.0000]])
    """
    size = (images.shape[-2], images.shape[-1])
    parts = [
        interpolate(torch.stack([cut(image, box) for image in images]), size, mode="bilinear", align_corners=False)
        for box in boxes
    ]
    return torch.stack(parts, 1).flatten(0, 1)
