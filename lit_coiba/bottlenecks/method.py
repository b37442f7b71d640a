"""What the bottleneck methods share: how they come by activation statistics."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

from torch import Tensor

from lit_coiba.bottlenecks.leak import sample_images
from lit_coiba.bottlenecks.statistics import ActivationStatistics, StatisticsSlot, estimate_statistics, images_of
from lit_coiba.core.method import AttributionMethod
from lit_coiba.core.network import Network


class BottleneckMethod(AttributionMethod):
    """A method that replaces activations by noise with the statistics of a dataset."""

    _slot: StatisticsSlot

    def prepare(self, model: Network, loader: Iterable[Any]) -> None:
        """Estimate statistics over `loader` in one pass; where no layer is named, the leak test chooses.

        Statistics given as a file are used as they are: `loader` is read for the leak test only, if they lack it.
        """
        if (given := self._slot.given()) is not None:
            self.set_statistics(model, given, images_of(loader))
            return
        sample, loader = sample_images(loader)
        self.set_statistics(model, estimate_statistics(model, self.statistics_layers(model), loader), sample)

    @abstractmethod
    def statistics_layers(self, model: Network) -> list[str]:
        """The layers whose statistics are needed, the candidates of the leak test among them."""

    @abstractmethod
    def set_statistics(
        self, model: Network, statistics: ActivationStatistics, images: Iterable[Tensor]
    ) -> ActivationStatistics:
        """Use `statistics`, after a leak test on batches of `images` where one is due, and return what to keep."""
