"""Where in a model Readout IBA works: what it reads, the layer that gets noise, and the network in between."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from lit_coiba.bottlenecks.iba import IBA
from lit_coiba.bottlenecks.prior import NoisePrior, PriorSettings
from lit_coiba.bottlenecks.readout.noised import SampleNoise
from lit_coiba.bottlenecks.readout.reading import CleanForward, Reader, positions
from lit_coiba.bottlenecks.readout.trained_readout import ReadoutHeader
from lit_coiba.bottlenecks.readout.unit_readout import UnitReadout
from lit_coiba.bottlenecks.statistics import ActivationStatistics
from lit_coiba.bottlenecks.unit_bottleneck import UnitBottleneck
from lit_coiba.core.grid import Grid
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved


class UnitSite:
    """Readout IBA in one model.

    Args:
        model: The model, frozen.
        about: What the readout is.
        statistics: Statistics of the bottleneck layer and of all layers that are read.

    Raises:
        InputError: The model lacks one of the layers, or the statistics do.
    """

    def __init__(self, model: Network, about: ReadoutHeader, statistics: ActivationStatistics) -> None:
        statistics.require([*about.layers, *about.read])
        self.about, self.classes = about, model.num_classes
        self.split = model.split(about.layers)
        settings = PriorSettings(statistics, tuple(self.split.layers), 1, about.min_std, False, 0)
        self.prior = NoisePrior(settings)
        self.reader = Reader(model, about.read, self.prior, gradient=False)
        self._read = NoisePrior(settings._replace(layers=tuple(self.reader.split.layers)))
        self.active = statistics.active[about.layers[0]] > about.active_threshold
        self.smoothed = IBA(smoothing=about.smoothing).smoother(self.grid)

    @property
    def grid(self) -> Grid:
        """The grid of the bottleneck layer."""
        return self.reader.first

    def network(self) -> UnitReadout:
        """An untrained network that fits."""
        channels = sum(grid.channels for grid in self.reader.split.grids) + self.classes
        return UnitReadout(channels, self.grid.channels, self.about.variant)

    def features(self, clean: CleanForward) -> Tensor:
        """What is read: all activations in units of their standard deviations, and the logits, ``(B, positions, C)``.

        Activations of other grids are resized bilinearly, corners aligned; logits, standardized over classes (ours),
        stand at every position.
        """
        found = []
        for number, (activation, own) in enumerate(zip(clean.activations, self.reader.split.grids)):
            standardized = self._read.standardise(number, activation)
            if (own.height, own.width) == (self.grid.height, self.grid.width):
                found.append(positions(standardized, own))
                continue
            size = self.grid.height, self.grid.width
            places = interpolate(own.to_spatial(standardized), size, mode="bilinear", align_corners=True)
            found.append(places.flatten(2).transpose(1, 2))
        logits = clean.out.to(found[0].dtype)
        spread = logits.std(-1, keepdim=True).clamp_min(torch.finfo(logits.dtype).tiny)
        logits = (logits - logits.mean(-1, keepdim=True)) / spread
        return torch.cat([*found, logits.unsqueeze(1).expand(-1, self.grid.positions, -1)], -1)

    def ratios(self, values: Tensor) -> Tensor:
        """Logits of the ratios, ``(B, *activation)``, of values ``(B, positions, units)``."""
        if self.grid.layout == "tokens":
            return values
        places = values.unflatten(1, (self.grid.height, self.grid.width))
        return places.movedim(-1, 1) if self.grid.layout == "channels_first" else places

    def bottleneck(self, clean: CleanForward, targets: Resolved) -> UnitBottleneck:
        """The bottleneck of IBA for these images."""
        return UnitBottleneck(self.split, clean.state, targets, self.prior, self.active, self.about.beta, self.smoothed)

    def bits(self, clean: CleanForward, targets: Resolved, alpha: Tensor) -> Tensor:
        """Bits that pass at each position, ``(B, positions)``, over all channels."""
        return self.grid.over_channels(self.bottleneck(clean, targets).bits(alpha.detach())) * self.grid.channels

    def map(self, clean: CleanForward, targets: Resolved, alpha: Tensor) -> Tensor:
        """`bits` as maps ``(B, h, w)``; prefix tokens are left out."""
        return self.grid.to_map(self.bits(clean, targets, alpha))

    def losses(self, clean: CleanForward, targets: Resolved, alpha: Tensor, noise: SampleNoise) -> UnitLosses:
        """Fidelity loss of one noised copy, and mean information of a unit, of each image, in the graph of `alpha`.

        Args:
            clean: Clean forward of the images.
            targets: A row for each image.
            alpha: Logits of the ratios ``(B, *activation)``.
            noise: Noise of the samples.
        """
        bottleneck = self.bottleneck(clean, targets)
        ratio = torch.sigmoid(alpha)
        ratio = ratio if self.smoothed is None else self.smoothed(ratio)

        def mixed(index: int, activation: Tensor) -> Tensor:
            drawn = noise.of(index, activation)
            passed = torch.lerp(drawn, activation.to(drawn.dtype), ratio) * bottleneck.active
            return passed.to(activation.dtype)

        fidelity = targets.fidelity(self.split.upper(clean.state, mixed))
        return UnitLosses(fidelity, bottleneck.nats(alpha).flatten(1).mean(1))


class UnitLosses(NamedTuple):
    """The two parts of the loss of each image, ``(B,)`` in nats."""

    fidelity: Tensor
    information: Tensor
