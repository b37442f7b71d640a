"""Importance maps of people: how they are smoothed before anything is compared with them."""

from __future__ import annotations

from torch import Tensor

from lit_coiba.functional.blur import gaussian_window
from lit_coiba.functional.maps import convolve, resize_map

SIDE, TAPS, SIGMA = 64, 11, 10.0  # of the paper's code


def smooth_importance(maps: Tensor, side: int = SIDE, taps: int = TAPS, sigma: float = SIGMA) -> Tensor:
    """Importance maps ``(B, H, W)`` at `side` rows and columns, blurred there, and back at their own size.

    Fel et al., "Harmonizing the object recognition strategies of deep neural networks with humans", 2022 (arXiv
    2211.04533): bilinear to 64 x 64, a Gaussian of sigma 10 cut off to 11 pixels, which is nearly a box, with zeros
    outside, and bilinear to the model's input. Clicks, which are points, become comparable with graded maps.

    Args:
        maps: Values of 0 or more; a map with NaN stays NaN.
        side: Rows and columns of the grid that is blurred on, more than half of `taps`.
        taps: Pixels of the window along each axis, odd; 1 = no blur.
        sigma: Standard deviation of the Gaussian in pixels of that grid.

    Example:
        >>> import torch
        >>> smooth_importance(torch.eye(8)[None], side=8, taps=3)[0, 0, :4]
        tensor([0.2226, 0.2226, 0.1107, 0.0000])
    """
    shown = resize_map(maps, (side, side)).unsqueeze(1)
    blurred = convolve(shown, gaussian_window(taps, sigma).tolist(), "zeros") if taps > 1 else shown
    return resize_map(blurred.squeeze(1), (maps.shape[-2], maps.shape[-1])).clamp_min(0)
