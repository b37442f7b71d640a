"""Noise of a bottleneck that is a sample's own: what a readout is trained with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lit_coiba.bottlenecks.prior import NoisePrior
from lit_coiba.core.network import SplitNetwork, State
from lit_coiba.functional import keyed_noise

Ratio = Callable[[int, Tensor], Tensor]  # number of a layer, its activation -> ratio that multiplies that activation


def image_keys(images: Tensor) -> list[str]:
    """A name for each image ``(B, 3, H, W)``, from its pixels: the same in every batch and every process."""
    pixels = images.detach().float().cpu().contiguous()
    return [hashlib.blake2b(image.numpy().tobytes(), digest_size=12).hexdigest() for image in pixels]


class SampleNoise:
    """Draws for each sample, a function of seed, step, layer and sample: a loss depends on no batch or process.

    Args:
        prior: Mean and standard deviation of each bottleneck layer.
        seed: Seed of the draws.
        step: Step of the training.
        keys: Names of the samples.
    """

    def __init__(self, prior: NoisePrior, seed: int, step: int, keys: Sequence[str]) -> None:
        self.prior, self.seed, self.step, self.keys = prior, seed, step, keys

    def of(self, layer: int, like: Tensor) -> Tensor:
        """Noised activations of a layer, ``(B, *activation)``, at least fp32, on the device of `like`."""
        mean, std = self.prior.parameters(layer, like)
        eps = keyed_noise(self.seed, self.keys, f"readout/{self.step}/{layer}", mean.shape)
        return torch.addcmul(mean, std, eps.to(mean))


def noised_output(split: SplitNetwork, state: State, ratio: Ratio, noise: SampleNoise) -> Any:
    """Output of the model with every bottleneck layer mixed with noise, in the graph of the ratios.

    Args:
        split: The network from the first bottleneck layer on.
        state: State of the images below it.
        ratio: Share of signal of each layer, in a shape that multiplies its activation.
        noise: What takes the rest.
    """

    def mixed(index: int, activation: Tensor) -> Tensor:
        drawn = noise.of(index, activation)
        return torch.lerp(drawn, activation.to(drawn.dtype), ratio(index, drawn)).to(activation.dtype)

    return split.upper(state, mixed)
