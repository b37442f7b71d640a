"""Images whose Fourier coefficients are optimized freely, weighted by frequency: the usual parametrization."""

from __future__ import annotations

import torch
from torch import Tensor

from lit_coiba.functional import noise, radial_frequencies, to_rgb

_START = 0.01  # standard deviation of the coefficients to begin with; this and the next are the lucid family's
_SCALE = 0.25


class FourierImages:
    """Images as a function of their Fourier coefficients, each weighted by one over its frequency.

    Olah, Mordvintsev and Schubert, "Feature Visualization", 2017: decorrelated space and colors, and nothing that
    holds high frequencies down but the weights. All images begin with the same coefficients.

    Args:
        height: H in pixels.
        width: W in pixels.
        count: B, the number of images.
        seed: Seed of the coefficients to begin with.
        like: A tensor on the device and in the precision of the images.
    """

    def __init__(self, height: int, width: int, count: int, seed: int, like: Tensor) -> None:
        self.size = (height, width)
        weights = 1 / radial_frequencies(height, width).clamp_min(1 / max(height, width))
        self._weights = (_SCALE * (height * width) ** 0.5 * weights).to(like)
        start = _START * noise(seed, 0, 0, (3, height, width // 2 + 1, 2)).to(like)
        self.variable = start.expand(count, *start.shape).clone().requires_grad_()

    def pixels(self) -> Tensor:
        """RGB images ``(B, 3, H, W)`` in (0, 1)."""
        coefficients = torch.view_as_complex(self.variable) * self._weights
        return to_rgb(torch.fft.irfft2(coefficients, s=self.size)).sigmoid()

    def magnitude_error(self) -> Tensor:
        """NaN for each image, ``(B,)``: no magnitude is asked for."""
        return self.variable.new_full((len(self.variable),), torch.nan)
