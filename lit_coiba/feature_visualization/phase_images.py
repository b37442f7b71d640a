"""Images whose magnitude spectrum is fixed and whose phases are optimized."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lit_coiba.functional import doubled_columns, free_phases, noise, symmetrized, tied_phases, to_rgb, uniform

_LEAST = 1e-5  # added to a standard deviation that is divided by, as the authors' library does


class PhaseImages:
    """Images with one magnitude spectrum, as a function of their phases: MACO's parametrization.

    In decorrelated colors the magnitudes are held exactly, up to one factor; mixing the colors and the sigmoid, which
    bring an image into its range, change them afterwards. All images begin with the same phases.

    Args:
        magnitude: Magnitudes ``(3, H, W // 2 + 1)``, on the device and in the precision of the images.
        width: W in pixels.
        count: B, the number of images.
        seed: Seed of the phases to begin with.
        tied: Whether opposite frequencies of one column have opposite phases. Without, as in the published code, the
            magnitudes of one or two columns are not held.
        standardize: Whether phases are brought to mean 0 and standard deviation 1 at each evaluation, as in the
            published code, which begins with normal ones. Without (ours), they begin uniform over the circle: with
            normal ones, more than a third of the energy is one bright spot in the corner.
    """

    def __init__(
        self,
        magnitude: Tensor,
        width: int,
        count: int = 1,
        seed: int = 0,
        tied: bool = True,
        standardize: bool = False,
    ) -> None:
        self.width, self.tied, self.standardize = width, tied, standardize
        self.height = magnitude.shape[-2]
        self.magnitude = symmetrized(magnitude, width).detach() if tied else magnitude.detach().clone()
        self.magnitude[..., 0, 0] = 0
        self.magnitude /= _standard_deviation(self.magnitude, width)
        drawn = noise(seed, 0, 0, tuple(magnitude.shape)).to(magnitude)
        start = drawn if standardize else math.pi * (2 * uniform(drawn) - 1)
        self._free = free_phases(self.height, width).to(magnitude.device)
        self._pinned = math.pi * (drawn < 0).to(magnitude)
        self.variable = start.expand(count, *start.shape).clone().requires_grad_()

    def latent(self) -> Tensor:
        """Images in decorrelated colors ``(B, 3, H, W)``, with mean 0 and standard deviation 1 each."""
        phases = self._standardized() if self.standardize else self.variable
        if self.tied:
            phases = tied_phases(phases, self._pinned.expand_as(phases), self.width)
        images = torch.fft.irfft2(torch.polar(self.magnitude.expand_as(phases), phases), s=(self.height, self.width))
        images = images - images.mean((1, 2, 3), keepdim=True)
        return images / (images.std((1, 2, 3), keepdim=True) + _LEAST)

    def pixels(self) -> Tensor:
        """RGB images ``(B, 3, H, W)`` in (0, 1)."""
        return to_rgb(self.latent()).sigmoid()

    @torch.no_grad()
    def magnitude_error(self) -> Tensor:
        """Largest deviation from the magnitudes, as a share of the largest of them, ``(B,)``."""
        found = torch.fft.rfft2(self.latent()).abs()
        found[..., 0, 0] = 0
        factor = (found * self.magnitude).sum((1, 2, 3), keepdim=True) / self.magnitude.square().sum()
        return (found / factor - self.magnitude).abs().amax((1, 2, 3)) / self.magnitude.amax()

    def exact_columns(self) -> list[int]:
        """Columns of the half spectrum in which the magnitudes are held."""
        doubled = () if self.tied else doubled_columns(self.width)
        return [column for column in range(self.width // 2 + 1) if column not in doubled]

    def _standardized(self) -> Tensor:
        """Phases with mean 0 and standard deviation 1 over those that are free, of each image."""
        phases = self.variable
        free = self._free if self.tied else torch.ones_like(self._free)
        chosen = phases[..., free]
        mean, std = chosen.mean((1, 2)), chosen.std((1, 2))
        return (phases - mean[:, None, None, None]) / (std[:, None, None, None] + _LEAST)


def _standard_deviation(magnitude: Tensor, width: int) -> Tensor:
    """Of the real images ``(3, H, W)`` of these magnitudes, which are 0 at the frequency 0, by Parseval's theorem."""
    energy = 2 * magnitude.square().sum() - sum(magnitude[..., k].square().sum() for k in doubled_columns(width))
    return energy.sqrt() / (len(magnitude) ** 0.5 * magnitude.shape[-2] * width)
