"""One damping ratio per pixel and color, charged for what a mask does not show already: the last step of InputIBA.

Zhang, Khakzar, Li, Farshad, Kim and Navab, "Fine-Grained Neural Network Explanation by Identifying Input Features with
Predictive Information", 2021 (arXiv 2110.01471).
"""

from __future__ import annotations

import torch
from torch import Tensor

from lit_coiba.bottlenecks.fitting import Loss, fidelity_of_copies
from lit_coiba.bottlenecks.pixel_noise import PixelNoise
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved
from lit_coiba.functional import BITS_PER_NAT, beyond_masked_prior, information_of_ratio, noise, smooth

PIXELS = 1000  # purpose of random numbers: noise at the pixels


class PixelBottleneck:
    """A bottleneck at the input, batched over images.

    Args:
        model: The model.
        images: Model input, ``(B, 3, H, W)``.
        targets: A row for each image.
        mask: Logits of the share of each pixel that the prior shows, ``(B, 3, H, W)``.
        level: Mean and standard deviation of the noise.
        beta: Weight of the information, which is a mean over pixels and colors.
        copies: Noise copies per image and update.
        smoothing: Standard deviation in pixels of the Gaussian over the ratios of each color; 0 = off.
        seed: Seed of the noise, which the images share.
    """

    def __init__(
        self,
        model: Network,
        images: Tensor,
        targets: Resolved,
        mask: Tensor,
        level: PixelNoise,
        beta: float,
        copies: int,
        smoothing: float,
        seed: int,
    ) -> None:
        self.model = model
        self.images = images
        self.targets = targets
        self.level = level
        self.beta = beta
        self.copies = copies
        self.smoothing = smoothing
        self.seed = seed
        self.precise = images.to(mask.dtype)
        self.squared = ((self.precise - level.mean) / level.std).square()
        self.hidden = torch.sigmoid(-mask)  # one minus the share that the prior shows
        self._drawn: tuple[int, Tensor] | None = None

    def start(self, alpha_init: float) -> Tensor:
        """First logits, ``(B, 3, H, W)``."""
        return torch.full_like(self.hidden, alpha_init)

    def loss(self, alpha: Tensor, step: int, copies: slice, rows: slice) -> Loss:
        """See `Bottleneck.loss`; the information needs no network."""
        draw = self._draw(step)[copies]
        mixed = torch.lerp(draw.unsqueeze(1), self.precise[rows], self._smoothed(torch.sigmoid(alpha)))
        out = self.model(mixed.flatten(0, 1).to(self.images.dtype))
        fidelity = fidelity_of_copies(out, self.targets.take(rows), len(draw))
        return Loss(fidelity, fidelity)

    def information_gradient(self, alpha: Tensor) -> Tensor:
        """Gradient of the weighted information, ``(B, 3, H, W)``."""
        leaf = alpha.clone().requires_grad_(True)
        weighted = self.beta * self._information(leaf).flatten(1).mean(1).sum()
        return torch.autograd.grad(weighted, leaf)[0]

    def bits(self, alpha: Tensor) -> Tensor:
        """Bits that pass beyond what the mask shows, all pixels and colors together, ``(B,)``."""
        return self._information(alpha).flatten(1).sum(1) * BITS_PER_NAT

    def _information(self, alpha: Tensor) -> Tensor:
        """Information of each pixel and color beyond the masked prior, in nats."""
        ratio, one_minus_ratio = (self._smoothed(torch.sigmoid(sign * alpha)) for sign in (1, -1))
        return information_of_ratio(*beyond_masked_prior(ratio, one_minus_ratio, self.hidden), self.squared)

    def _smoothed(self, ratio: Tensor) -> Tensor:
        return smooth(ratio, self.smoothing) if self.smoothing else ratio

    def _draw(self, step: int) -> Tensor:
        """Noise of one step, ``(copies, 3, H, W)``; kept, since the copies of a step run in several pieces."""
        if self._drawn is None or self._drawn[0] != step:
            eps = noise(self.seed, step, PIXELS, (self.copies, *self.precise.shape[1:])).to(self.precise)
            self._drawn = step, self.level.mean + self.level.std * eps
        return self._drawn[1]
