"""Which pixels explain an activation: the masks under which noisy images look, to a critic, like noised activations.

The generative part of InputIBA (Zhang et al., 2021, arXiv 2110.01471): a Wasserstein GAN (Arjovsky et al., 2017, arXiv
1701.07875) for each image, whose generator is the network up to a layer and has a mask and a noise level to learn.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from lit_coiba.bottlenecks.pixel_noise import PixelNoise
from lit_coiba.core.batched_evaluator import BatchedEvaluator
from lit_coiba.core.grid import Grid
from lit_coiba.core.network import SplitNetwork
from lit_coiba.functional import noise, working_dtype

MEANS, STDS = (-2.0, 2.0), (0.0, 5.0)  # the paper's: between them lie mean and std of the noise of a group of samples
SLOPE = 0.2  # of the critic's leaky ReLU
_SAMPLES, _GROUPS, _ORDER, _PIXELS, _CRITIC = 1001, 1002, 1003, 1004, 1005  # purposes of random numbers


class Matching(NamedTuple):
    """How the masks are fitted; InputIBA says where the values come from."""

    n_samples: int  # noised activations, the "real" data
    group: int  # of them with one mean and std of noise
    epochs: int
    batch: int
    critic_steps: int  # for one of the generator
    clip: float  # bound of the critic's weights
    lr_mask: float
    lr_mean: float
    lr_std: float
    lr_critic: float
    critic_width: int
    seed: int


def match_features(
    split: SplitNetwork,
    images: Tensor,
    activation: Tensor,
    feature_bits: Tensor,
    start: Tensor,
    level: PixelNoise,
    matching: Matching,
    evaluator: BatchedEvaluator,
) -> Tensor:
    """Logits of a mask per image and color, fitted for all images at once and for each by itself.

    Real samples are ``bits * activation + (1 - bits) * noise``: the bits serve as the share of the activation, and are
    beyond 1 in places, as in the paper. Fake samples are the activations of ``m * x + (1 - m) * (e * g + mu)``,
    m = sigmoid(mask), g standard normal per pixel. The mask is fitted, and per color, in units of `level`, e and mu,
    from 1 and 0. Random numbers are shared by the images.

    Args:
        split: The network from the layer on.
        images: x, ``(B, 3, H, W)``.
        activation: Activation of the layer, ``(B, *activation)``.
        feature_bits: Bits that each of its units passes, ``(B, *activation)``.
        start: First logits, ``(B, 3, H, W)``.
        level: Mean and standard deviation of the noise at the pixels at first.
        matching: Settings.
        evaluator: Evaluator that runs noisy images through the network.

    Returns:
        ``(B, 3, H, W)``.
    """
    parameters = [start.clone(), start.new_zeros(len(start), 3, 1, 1), start.new_ones(len(start), 3, 1, 1)]
    rates = (matching.lr_mask, matching.lr_mean, matching.lr_std)
    generator = torch.optim.RMSprop([{"params": [p], "lr": lr} for p, lr in zip(parameters, rates)])
    grid, samples = split.grids[0], _noise_samples(activation, matching)
    critic = Critic(grid, activation, matching)

    def fake(draw: Tensor, part: list[Tensor], rows: slice) -> Tensor:
        """Activations of noisy images, ``(k * r, *activation)``."""
        mask, mean, std = part
        background = level.mean + level.std * (mean + std * draw.unsqueeze(1))
        noisy = torch.lerp(background, images[rows].to(mask.dtype), torch.sigmoid(mask))
        return split.activation(noisy.flatten(0, 1).to(images.dtype)).to(mask.dtype)

    for step, chosen in enumerate(_batches(matching)):
        draw = noise(matching.seed, step, _PIXELS, (len(chosen), *images.shape[1:])).to(start)

        def faked(copies: slice, rows: slice) -> Tensor:
            with torch.no_grad():
                found = fake(draw[copies], [p[rows] for p in parameters], rows)  # noqa: B023
            return found.unflatten(0, (-1, rows.stop - rows.start))

        def slopes(copies: slice, rows: slice) -> tuple[Tensor, ...]:
            """Gradients of minus the critic's mean score with respect to everything that is fitted."""
            part = [p[rows].detach().requires_grad_(True) for p in parameters]
            scores = critic.scores(fake(draw[copies], part, rows).unflatten(0, (-1, len(part[0]))), rows)  # noqa: B023
            return torch.autograd.grad(-scores.sum() / len(draw), part)  # noqa: B023

        real = torch.lerp(samples[chosen].unsqueeze(1), activation.to(start), feature_bits)
        critic.learn(real, evaluator.gather(images, len(chosen), faked))
        if (step + 1) % matching.critic_steps == 0:
            for parameter, slope in zip(parameters, evaluator.accumulate(images, len(chosen), slopes)):
                parameter.grad = slope
            generator.step()
    return parameters[0]


class Critic:
    """A small network per image that distinguishes real activations from fake ones, all images at once.

    Every position's channels through a linear layer, then all positions through one, then one number; leaky ReLUs
    between them. The paper's description leaves its critic open. The last layer has no bias: it cancels between real
    and fake, and RMSprop would turn what rounding leaves of its gradient into full steps.

    Args:
        grid: Grid of the layer.
        activation: Activations ``(B, *activation)``, whose number, dtype and device the weights take.
        matching: Settings.
    """

    def __init__(self, grid: Grid, activation: Tensor, matching: Matching) -> None:
        self.grid = grid
        self.clip = matching.clip
        inputs, width = grid.positions * matching.critic_width, matching.critic_width
        shapes = [(grid.channels, width), (1, width), (inputs, width), (1, width), (width, 1)]
        self.weights = []
        for k, (shape, fan_in) in enumerate(zip(shapes, (grid.channels, grid.channels, inputs, inputs, width))):
            bound = min(fan_in**-0.5, matching.clip)
            start = _uniform(noise(matching.seed, k, _CRITIC, shape), -bound, bound)
            start = start.to(activation.device, working_dtype(activation))
            self.weights.append(start.repeat(len(activation), 1, 1).requires_grad_(True))
        self._optimizer = torch.optim.RMSprop(self.weights, lr=matching.lr_critic)

    def scores(self, samples: Tensor, rows: slice = slice(None)) -> Tensor:
        """Scores ``(r, n)`` of activations ``(n, r, *activation)`` of some of the images."""
        first, first_bias, second, second_bias, last = (w[rows] for w in self.weights)
        with torch.autocast(samples.device.type, enabled=False):
            positions = self._positions(samples.transpose(0, 1))  # (r, n, positions, channels)
            shape = positions.shape
            hidden = leaky_relu(positions.flatten(1, 2).bmm(first) + first_bias, SLOPE)
            joined = leaky_relu(hidden.view(*shape[:2], -1).bmm(second) + second_bias, SLOPE)
            return joined.bmm(last).squeeze(-1)

    def learn(self, real: Tensor, fake: Tensor) -> None:
        """One step towards scores that are high for `real` and low for `fake`, ``(n, B, *activation)`` each."""
        loss = self.scores(fake).mean(1) - self.scores(real).mean(1)
        for weight, gradient in zip(self.weights, torch.autograd.grad(loss.sum(), self.weights)):
            weight.grad = gradient
        self._optimizer.step()
        with torch.no_grad():
            for weight in self.weights:
                weight.clamp_(-self.clip, self.clip)

    def _positions(self, samples: Tensor) -> Tensor:
        if self.grid.layout == "channels_first":
            return samples.flatten(-2).transpose(-1, -2)
        return samples if self.grid.layout == "tokens" else samples.flatten(-3, -2)


def _noise_samples(activation: Tensor, matching: Matching) -> Tensor:
    """``(samples, *activation)``: normal noise whose mean and standard deviation are drawn for every group."""
    groups = -(-matching.n_samples // matching.group)
    means, stds = (
        _uniform(noise(matching.seed, k, _GROUPS, (groups,)), *bounds) for k, bounds in enumerate((MEANS, STDS))
    )
    samples = activation.new_empty((matching.n_samples, *activation.shape[1:]), dtype=working_dtype(activation))
    for k, part in enumerate(samples.split(matching.group)):
        part.copy_(means[k] + stds[k] * noise(matching.seed, k, _SAMPLES, part.shape))
    return samples


def _batches(matching: Matching) -> Iterator[Tensor]:
    """Indices of the samples of every step, shuffled in each epoch."""
    for epoch in range(matching.epochs):
        yield from noise(matching.seed, epoch, _ORDER, (matching.n_samples,)).argsort().split(matching.batch)


def _uniform(normal: Tensor, low: float, high: float) -> Tensor:
    """Standard normal numbers as uniform ones between two bounds."""
    return low + (high - low) * torch.special.ndtr(normal.double()).to(normal)
