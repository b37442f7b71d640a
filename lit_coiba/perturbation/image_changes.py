"""Changes that people see and understand: a picture that is darker, paler, of other colors, blurred, or wavy."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import grid_sample
from torchvision.transforms.v2 import functional as colors

from lit_coiba.functional import blur_images
from lit_coiba.functional.edges import gray_levels

Change = Literal["brightness", "contrast", "saturation", "hue", "blur", "sinusoid"]

STRENGTHS: dict[Change, float] = {  # of CaBRNet's local perturbation analysis
    "brightness": 0.3,
    "contrast": 0.3,
    "saturation": 0.3,
    "hue": 0.2,
    "blur": 2.0,
    "sinusoid": 7.0,
}
PERIODS = 5  # of the sine waves, over the height
KERNEL = 21  # pixels of the blur's window


def changed(pixels: Tensor, change: Change, strength: float) -> Tensor:
    """Pixels in [0, 1] ``(B, 3, H, W)`` after a change; a strength of 0 leaves them as they are.

    Args:
        pixels: The pictures.
        change: ``brightness``, ``contrast``, ``saturation`` = brought towards black, their mean gray, their own gray by
            the share `strength`; ``hue`` = turned by the share `strength` of the circle; ``blur`` = a Gaussian of
            `strength` pixels in a window of 21, less where the picture is smaller; ``sinusoid`` = rows moved sideways
            by a sine of `strength` pixels with five periods over the height.
        strength: How much.
    """
    if strength == 0:
        return pixels
    if change == "brightness":
        return (1 - strength) * pixels
    if change == "contrast":
        return pixels.lerp(gray_levels(pixels).mean((-2, -1))[:, None, None, None], strength)
    if change == "saturation":
        return pixels.lerp(gray_levels(pixels).unsqueeze(1), strength)
    if change == "hue":
        return colors.adjust_hue_image(pixels, strength)
    if change == "blur":
        return blur_images(pixels, "gaussian", min(KERNEL, 2 * min(pixels.shape[-2:]) - 1), strength)
    return _wavy(pixels, strength)


def _wavy(pixels: Tensor, amplitude: float) -> Tensor:
    height, width = pixels.shape[-2:]
    rows, columns = torch.meshgrid(
        torch.arange(height, device=pixels.device), torch.arange(width, device=pixels.device), indexing="ij"
    )
    moved = columns + amplitude * torch.sin(2 * torch.pi * PERIODS * rows / height)
    places = torch.stack([(2 * moved + 1) / width - 1, (2 * rows + 1) / height - 1], -1).to(pixels)
    return grid_sample(pixels, places.expand(len(pixels), -1, -1, -1), padding_mode="border", align_corners=False)
