"""Which layer a bottleneck with a single target is put at, where none is named: a choice of this project."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from lit_coiba.backbones.defaults import block_outputs
from lit_coiba.bottlenecks.leak import choose_layers
from lit_coiba.bottlenecks.statistics import ActivationStatistics, StatisticsSlot
from lit_coiba.core.network import Network


def first_layers(model: Network) -> list[str]:
    """Candidates, earliest first: of a ViT the outputs of its blocks up to a third of the depth, else one layer.

    The last candidate is the default; the earlier ones are taken where the leak test finds that by then CLS alone knows
    the class. Elsewhere it is the first of the model's default layers.
    """
    first, candidates = model.default_layers()[0], model.candidate_layers()
    return block_outputs(candidates[: candidates.index(first) + 1]) or [first]


def choose_layer(
    slot: StatisticsSlot,
    model: Network,
    statistics: ActivationStatistics,
    images: Iterable[Tensor],
    layers: list[str],
    min_std: float,
    seed: int,
) -> ActivationStatistics:
    """Put `statistics` into `slot`; where tokens lie outside the map, with a leak test of `layers`.

    Args:
        slot: Filled.
        model: The model.
        statistics: Of `layers`.
        images: Batches for the leak test, read only where one is due.
        layers: Candidates, earliest first.
        min_std: Floor of the standard deviations.
        seed: Of the noise of the test.

    Returns:
        What the slot holds now.
    """
    slot.fill(model, statistics)
    if statistics.leak is None and model.grid(layers[0]).num_prefix_tokens:
        choices = [[layer] for layer in reversed(layers)]
        found = choose_layers(model, statistics, images, choices, min_std, seed, keep_prefix=True)
        slot.replace(statistics.with_leak(found))
    return slot.of(model)


def chosen_layer(layers: list[str], statistics: ActivationStatistics) -> str:
    """The candidate that the leak test has chosen, else the last.

    Raises:
        InputError: The statistics lack it.
    """
    tested = statistics.leak.layers if statistics.leak else ()
    layer = next((layer for layer in layers if tested == (layer,)), layers[-1])
    statistics.require([layer])
    return layer
