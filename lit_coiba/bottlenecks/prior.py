"""The noise that a bottleneck puts in place of what it holds back."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lit_coiba.bottlenecks.statistics import ActivationStatistics
from lit_coiba.functional import antithetic_noise, noise, working_dtype

KEPT_BYTES = 2**30  # draws kept for the next batch: eight layers, nine steps, ten copies of ViT-B take 0.4 GB


class PriorSettings(NamedTuple):
    """What the noise of a run depends on."""

    statistics: ActivationStatistics
    layers: tuple[str, ...]  # bottleneck layers, in the order of the network
    copies: int
    min_std: float  # lower bound of the standard deviations
    antithetic: bool
    seed: int


class NoisePrior:
    """Draws of N(mean, std^2) per unit, the same for all images of a run."""

    def __init__(self, settings: PriorSettings) -> None:
        self.settings = settings
        self._parameters: dict[tuple[int, torch.device, torch.dtype], tuple[Tensor, Tensor]] = {}
        self._draws: dict[tuple[int, int, torch.device, torch.dtype], Tensor] = {}
        self._kept = 0

    def parameters(self, layer: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and bounded standard deviation of a layer, ``(*activation)`` each, on the device of `like`."""
        key = (layer, like.device, working_dtype(like))
        if key not in self._parameters:
            statistics, name = self.settings.statistics, self.settings.layers[layer]
            mean, std = (values[name].to(*key[1:], copy=True) for values in (statistics.mean, statistics.std))
            self._parameters[key] = mean, std.clamp_min(self.settings.min_std)
        return self._parameters[key]

    def standardise(self, layer: int, activation: Tensor) -> Tensor:
        """An activation in units of the prior, ``(activation - mean) / std``."""
        mean, std = self.parameters(layer, activation)
        return (activation.to(mean.dtype) - mean) / std

    def draw(self, step: int, layer: int, like: Tensor) -> Tensor:
        """Noised activations of one step, ``(copies, *activation)``, on the device of `like`, at least fp32."""
        key = (step, layer, like.device, working_dtype(like))
        if key in self._draws:
            return self._draws[key]
        mean, std = self.parameters(layer, like)
        source = antithetic_noise if self.settings.antithetic else noise
        eps = source(self.settings.seed, step, layer, (self.settings.copies, *mean.shape))
        draw = torch.addcmul(mean, std, eps.to(mean))
        if self._kept + draw.nbytes <= KEPT_BYTES:
            self._draws[key] = draw
            self._kept += draw.nbytes
        return draw


class PriorSlot:
    """The prior of the last batch, kept for the next one while its settings stay the same."""

    def __init__(self) -> None:
        self._prior: NoisePrior | None = None

    def __getstate__(self) -> dict[str, None]:
        return {"_prior": None}  # up to a gigabyte, and made again in no time

    def of(self, settings: PriorSettings) -> NoisePrior:
        """The prior with these settings."""
        if self._prior is None or self._prior.settings != settings:
            self._prior = NoisePrior(settings)
        return self._prior
