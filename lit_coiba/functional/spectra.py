"""Magnitude spectra of images, in the order of ``rfft2``: their frequencies, radial profiles, and other sizes."""

from __future__ import annotations

import torch
from torch import Tensor

NYQUIST = 0.5  # cycles per pixel


def frequencies(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Absolute frequencies of a half spectrum in cycles per pixel, fp64: rows ``(H,)`` and columns ``(W // 2 + 1,)``.

    Example:
        >>> frequencies(4, 2)[0]
        tensor([0.0000, 0.2500, 0.5000, 0.2500], dtype=torch.float64)
    """
    return torch.fft.fftfreq(height, dtype=torch.float64).abs(), torch.fft.rfftfreq(width, dtype=torch.float64)


def radial_frequencies(height: int, width: int) -> Tensor:
    """Distance of each frequency of a half spectrum from 0 in cycles per pixel, fp64 ``(H, W // 2 + 1)``.

    Example:
        >>> radial_frequencies(2, 2)[0]
        tensor([0.0000, 0.5000], dtype=torch.float64)
    """
    rows, columns = frequencies(height, width)
    return torch.hypot(rows.unsqueeze(1), columns)


def radial_profile(magnitude: Tensor) -> Tensor:
    """Geometric mean over rings of a spectrum of S x S pixels, ``(C, S, S // 2 + 1)``, S even: ``(C, S // 2)``.

    Ring k, from 1 on, has the frequencies nearest to k / S cycles per pixel; what is beyond the last belongs to none.

    Example:
        >>> radial_profile(torch.full((1, 4, 3), 2.0))
        tensor([[2., 2.]])
    """
    side = magnitude.shape[-2]
    ring = (radial_frequencies(side, side) * side).round().long()
    weights = torch.full(ring.shape, 2.0, dtype=torch.float64)
    weights[:, 0] = weights[:, -1] = 1.0  # which hold each frequency twice themselves
    inside = (ring >= 1) & (ring <= side // 2)
    index = ring[inside] - 1
    logs = magnitude.double().log()[:, inside] * weights[inside]
    total = logs.new_zeros(len(logs), side // 2).index_add_(1, index, logs)
    count = logs.new_zeros(side // 2).index_add_(0, index, weights[inside])
    return (total / count).exp().to(magnitude.dtype)


def from_radial_profile(profile: Tensor, height: int, width: int) -> Tensor:
    """The spectrum ``(C, H, W // 2 + 1)`` of a canvas whose magnitude depends on the distance from 0 only; 0 at 0.

    Logarithms of magnitudes are interpolated linearly over that of the frequency; beyond both ends the magnitude is
    that of the end.

    Args:
        profile: Magnitudes ``(C, n)`` at 1/(2n), 2/(2n), ..., 1/2 cycles per pixel.
        height: Height of the canvas in pixels.
        width: Width of the canvas in pixels.

    Example:
        >>> from_radial_profile(torch.tensor([[4.0, 2.0]]), 2, 2)
        tensor([[[0., 2.],
                 [2., 2.]]])
    """
    count = profile.shape[-1]
    known = torch.arange(1, count + 1, dtype=torch.float64).log()
    wanted = (radial_frequencies(height, width) * 2 * count).clamp(1, count).log().flatten()
    above = torch.searchsorted(known, wanted).clamp(1, max(1, count - 1))
    low, high = above - 1, above.clamp_max(count - 1)
    share = ((wanted - known[low]) / (known[high] - known[low]).clamp_min(1e-12)).clamp(0, 1)
    logs = profile.double().log()
    found = torch.lerp(logs[:, low], logs[:, high], share).exp().unflatten(-1, (height, width // 2 + 1))
    found[..., 0, 0] = 0
    return found.to(profile.dtype)


def resized_spectrum(magnitude: Tensor, height: int, width: int) -> Tensor:
    """A spectrum of S x S pixels, ``(C, S, S // 2 + 1)``, S even, for another canvas: ``(C, H, W // 2 + 1)``; 0 at 0.

    Logarithms of magnitudes are interpolated linearly at (abs(ky), kx) in cycles per pixel, ky and -ky being averaged.
    The magnitude at 0, which says how bright images are, takes no part.

    Args:
        magnitude: Magnitudes above 0, in the order of ``rfft2``.
        height: Height of the canvas in pixels.
        width: Width of the canvas in pixels.

    Example:
        >>> resized_spectrum(torch.full((1, 4, 3), 2.0), 2, 2)
        tensor([[[0., 2.],
                 [2., 2.]]])
    """
    side = magnitude.shape[-2]
    half = side // 2
    values = magnitude.double()
    opposite = torch.cat([values[:, :1], values[:, 1:].flip(-2)], -2)
    quarter = ((values + opposite) / 2)[:, : half + 1].clone()
    quarter[:, 0, 0] = (quarter[:, 0, 1] * quarter[:, 1, 0]).sqrt()
    logs = quarter.log()
    rows, columns = (part * side for part in frequencies(height, width))
    found = _at(_at(logs, rows, -2), columns, -1).exp()
    found[..., 0, 0] = 0
    return found.to(magnitude.dtype)


def _at(values: Tensor, places: Tensor, axis: int) -> Tensor:
    """Linear interpolation along an axis at fractional indices."""
    last = values.shape[axis] - 1
    low = places.floor().long().clamp(0, last)
    high = (low + 1).clamp_max(last)
    share = (places - low).view(-1, *[1] * (-1 - axis))
    return torch.lerp(values.index_select(axis, low), values.index_select(axis, high), share)
