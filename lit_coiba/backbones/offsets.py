"""Where in the image the cells of a layer's grid lie, measured: convolutions that stride move what they see.

A convolution of 3 x 3 with a padding of 1 and a stride of 2 reads around the first of two pixels, not around the middle
of both. Over the five strides of a ResNet-50 that adds up to 15.5 of the 32 pixels of a cell, up and to the left;
TensorFlow's padding moves the other way; patches (ConvNeXt, Swin, ViT) move nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lit_coiba.backbones.forwards import captured
from lit_coiba.backbones.probe import like
from lit_coiba.core.frozen import frozen
from lit_coiba.core.grid import Grid
from lit_coiba.functional import Places, noise

IMAGES = 4  # of noise; their offsets differ by some tenths of a pixel
RESOLUTION = 1 / 16  # of a cell: what is less counts as nothing


def measured_places(model: nn.Module, activation: Callable[[Tensor], Tensor], size: tuple[int, int]) -> Places | None:
    """The pixels that the cells of a grid cover, by one backward pass on noise; None where they are as drawn.

    The center of the squared gradient of the innermost cells, whose own center is that of the image, says how far all
    cells are from where they are drawn; that attention mixes everything moves no center.

    Args:
        model: The model, left as it is.
        activation: Function of images that gives the activation in space, ``(B, C, h, w)``.
        size: Height and width of the images in pixels.
    """
    with frozen(model), torch.enable_grad(), torch.inference_mode(False):
        drawn = torch.stack([noise(0, image, 0, (3, *size)) for image in range(IMAGES)])
        images = drawn.to(like(model)).requires_grad_()
        found = activation(images)
        grid = (int(found.shape[-2]), int(found.shape[-1]))
        rows, columns = ([(cells - 1) // 2, cells // 2] for cells in grid)
        middle = found[:, :, rows][..., columns]
        signs = noise(0, IMAGES, 0, middle.shape[1:]).sign().to(middle)
        (gradient,) = torch.autograd.grad((middle * signs).sum(), images, allow_unused=True)
    if gradient is None:
        return None
    weights = gradient.double().square().sum((0, 1)).cpu()
    if not (weights.isfinite().all() and weights.sum() > 0):
        return None
    shares = weights / weights.sum()
    vertical, horizontal = (
        _beside(shares.sum(1 - axis), pixels, cells) for axis, (pixels, cells) in enumerate(zip(size, grid))
    )
    return Places.moved(grid, size, (vertical, horizontal))


class MeasuredCells:
    """`measured_places` of the layers of one model, once for each."""

    def __init__(self) -> None:
        self._found: dict[str, Places | None] = {}

    def of(
        self, layer: str, model: nn.Module, activation: Callable[[Tensor], Tensor], size: tuple[int, int]
    ) -> Places | None:
        """See `measured_places`."""
        if layer not in self._found:
            self._found[layer] = measured_places(model, activation, size)
        return self._found[layer]


def layer_activation(layer: nn.Module, forward: Callable[[Tensor], Tensor], grid: Grid) -> Callable[[Tensor], Tensor]:
    """Function of images that gives the activation of a layer in space, ``(B, C, h, w)``.

    Args:
        layer: The layer.
        forward: The model, which leaves images as they are.
        grid: How the layer's output lies in space.
    """
    return lambda images: grid.to_spatial(captured(layer, forward, images))


def _beside(shares: Tensor, pixels: int, cells: int) -> float:
    """How far the center of shares ``(pixels,)`` is from the middle of the image, in pixels."""
    centers = torch.arange(pixels, dtype=torch.float64) + 0.5
    found = float((centers * shares).sum()) - pixels / 2
    return found if abs(found) >= RESOLUTION * pixels / cells else 0.0
