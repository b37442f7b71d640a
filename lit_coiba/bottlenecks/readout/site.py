"""Where in a model a readout works: what it reads, which layers get noise, and the network in between."""

from __future__ import annotations

import torch
from torch import Tensor

from lit_coiba.bottlenecks.prior import NoisePrior, PriorSettings
from lit_coiba.bottlenecks.readout.directions import classifier_rows
from lit_coiba.bottlenecks.readout.noised import SampleNoise, noised_output
from lit_coiba.bottlenecks.readout.position_readout import PositionReadout
from lit_coiba.bottlenecks.readout.reading import Reader, Reading
from lit_coiba.bottlenecks.readout.trained_readout import ReadoutHeader
from lit_coiba.bottlenecks.statistics import ActivationStatistics
from lit_coiba.core.network import Network, State
from lit_coiba.core.targets import Resolved
from lit_coiba.functional import BITS_PER_NAT, information


class PositionSite:
    """Readout CoIBA, and learned ranking, in one model.

    Args:
        model: The model, frozen.
        about: What the readout is.
        statistics: Statistics of its bottleneck layers.

    Raises:
        InputError: The model lacks one of the layers, or the statistics do.
    """

    def __init__(self, model: Network, about: ReadoutHeader, statistics: ActivationStatistics) -> None:
        statistics.require(about.layers)
        self.model, self.about = model, about
        self.split = model.split(about.layers)
        self.prior = NoisePrior(PriorSettings(statistics, tuple(self.split.layers), 1, about.min_std, False, 0))
        self.reader = Reader(model, about.read, self.prior, about.gradient)

    def network(self, bound: bool = True) -> PositionReadout:
        """An untrained network that fits; the values of one that is not bounded begin at 0."""
        first = self.reader.first
        return PositionReadout(
            self.reader.channels,
            self.reader.normalized,
            classifier_rows(self.model, self.model.num_classes).shape[1],
            (first.height, first.width),
            first.num_prefix_tokens,
            self.about.width,
            *(() if bound else (None, 0.0)),
        )

    def fidelity(self, state: State, targets: Resolved, alpha: Tensor, noise: SampleNoise) -> Tensor:
        """Fidelity loss of one noised copy of each image, ``(B,)`` in nats, in the graph of `alpha`.

        Args:
            state: State of the images below the first bottleneck layer.
            targets: A row for each image.
            alpha: Logits of the ratios ``(B, positions)``.
            noise: Noise of the samples.
        """
        ratio = torch.sigmoid(alpha)

        def shared(index: int, like: Tensor) -> Tensor:
            return self.split.grids[index].spread(ratio).to(like.dtype)

        return targets.fidelity(noised_output(self.split, state, shared, noise))

    def loss(self, state: State, targets: Resolved, squared: Tensor, alpha: Tensor, noise: SampleNoise) -> Tensor:
        """Fidelity loss plus the weighted information of each image, ``(B,)``; `squared` is that of its `Reading`."""
        return self.fidelity(state, targets, alpha, noise) + self.about.beta * information(alpha, squared).mean(-1)

    def bits(self, alpha: Tensor, reading: Reading) -> Tensor:
        """Bits that pass the first layer at each position, ``(B, positions)``, over all channels."""
        return self.reader.first.channels * BITS_PER_NAT * information(alpha, reading.squared)
