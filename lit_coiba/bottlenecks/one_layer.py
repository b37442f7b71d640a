"""Which layer a bottleneck at a single one is put at, where none is named: a choice of this project."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from lit_coiba.backbones.defaults import block_outputs
from lit_coiba.bottlenecks.leak import choose_layers
from lit_coiba.bottlenecks.method import BottleneckMethod
from lit_coiba.bottlenecks.statistics import ActivationStatistics, LeakTest
from lit_coiba.core.grid import Grid
from lit_coiba.core.network import Network


class OneLayerBottleneck(BottleneckMethod):
    """A bottleneck at `layer`; None: at one that the leak test chooses where tokens lie outside the map."""

    layer: str | None

    def statistics_layers(self, model: Network) -> list[str]:
        """The bottleneck layer, or the candidates of the leak test, earliest first.

        Raises:
            InputError: One of them lies on no grid, or on one that the method refuses.
        """
        layers = [self.layer] if self.layer else first_layers(model)
        for layer in layers:
            self._check_grid(model.grid(layer))
        return layers

    def set_statistics(
        self, model: Network, statistics: ActivationStatistics, images: Iterable[Tensor]
    ) -> ActivationStatistics:
        """See `BottleneckMethod.set_statistics`; a layer that the method refuses is refused here."""
        self.statistics_layers(model)
        return super().set_statistics(model, statistics, images)

    def _chosen_layer(self, model: Network, statistics: ActivationStatistics) -> str:
        """The candidate that the leak test has chosen, else the last.

        Raises:
            InputError: The statistics lack it.
        """
        candidates = self.statistics_layers(model)
        tested = statistics.leak.layers if statistics.leak else ()
        layer = next((layer for layer in candidates if tested == (layer,)), candidates[-1])
        statistics.require([layer])
        return layer

    def _leak_test(self, model: Network, statistics: ActivationStatistics, images: Iterable[Tensor]) -> LeakTest | None:
        """How well the tokens outside the map alone know the class; None where there are no such tokens."""
        candidates = self.statistics_layers(model)
        if not model.grid(candidates[0]).num_prefix_tokens:
            return None
        choices = [[layer] for layer in reversed(candidates)]
        return choose_layers(model, statistics, images, choices, self.min_std, self.seed, keep_prefix=True)

    def _check_grid(self, grid: Grid) -> None:
        """Refuse a grid on which the bottleneck cannot work.

        Raises:
            InputError: It is such a grid.
        """


def first_layers(model: Network) -> list[str]:
    """Candidates, earliest first: for a ViT the outputs of its blocks up to a third of the depth, else one layer.

    The last candidate is the default; the earlier ones are taken where the leak test finds that by then CLS alone knows
    the class. Elsewhere it is the first of the model's default layers.
    """
    first, candidates = model.default_layers()[0], model.candidate_layers()
    return block_outputs(candidates[: candidates.index(first) + 1]) or [first]
