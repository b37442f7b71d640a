"""Which layer a bottleneck at a single one is put at, where none is named: a choice of this project."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from lit_coiba.backbones.defaults import block_outputs
from lit_coiba.bottlenecks.leak import choose_layers
from lit_coiba.bottlenecks.statistics import ActivationStatistics, LeakTest
from lit_coiba.core.network import Network


def first_layers(model: Network) -> list[str]:
    """Candidates, earliest first: for a ViT the outputs of its blocks up to a third of the depth, else one layer.

    The last candidate is the default; the earlier ones are taken where the leak test finds that by then CLS alone knows
    the class. Elsewhere it is the first of the model's default layers.
    """
    first, candidates = model.default_layers()[0], model.candidate_layers()
    return block_outputs(candidates[: candidates.index(first) + 1]) or [first]


def prefix_leak_test(
    model: Network,
    statistics: ActivationStatistics,
    candidates: list[str],
    images: Iterable[Tensor],
    min_std: float,
    seed: int,
) -> LeakTest | None:
    """How well the tokens outside the map alone know the class; None where there are no such tokens.

    Args:
        model: The model, left as it was.
        statistics: Statistics of the candidates.
        candidates: Layers, earliest first.
        images: Batches ``(B, 3, H, W)``.
        min_std: Lower bound of the standard deviations.
        seed: Seed of the noise.
    """
    if not model.grid(candidates[0]).num_prefix_tokens:
        return None
    choices = [[layer] for layer in reversed(candidates)]
    return choose_layers(model, statistics, images, choices, min_std, seed, keep_prefix=True)


def chosen_layer(candidates: list[str], statistics: ActivationStatistics) -> str:
    """The candidate that the leak test has chosen, else the last.

    Raises:
        InputError: The statistics lack it.
    """
    tested = statistics.leak.layers if statistics.leak else ()
    layer = next((layer for layer in candidates if tested == (layer,)), candidates[-1])
    statistics.require([layer])
    return layer
