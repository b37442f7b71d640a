"""Which layers a readout reads, where none are named: a choice of this project."""

from __future__ import annotations

from collections.abc import Sequence

from lit_coiba.core.network import Network

FEWEST = 4  # cells of a grid that is worth reading


def read_layers(model: Network, layers: Sequence[str]) -> list[str]:
    """Layers to read, the first of the bottleneck layers before all others.

    Of tokens these are the first bottleneck layer, and above it the default layers at two thirds of the depth and at
    its end; of feature maps the first and the last bottleneck layer, and the last layer on each coarser grid.

    Args:
        model: The model.
        layers: Bottleneck layers, in the order of the network.
    """
    order = {name: number for number, name in enumerate(model.layers())}
    first, last = layers[0], layers[-1]
    grid = model.grid(first)
    if grid.layout == "tokens":
        known = model.candidate_layers()
        above = [name for name in (known[2 * len(known) // 3], known[-1]) if order[name] > order[first]]
        return list(dict.fromkeys([first, *above]))
    coarser = {}
    for name in list(order)[order[last] + 1 :]:
        found = model.grid(name)
        if FEWEST <= found.height * found.width < grid.height * grid.width:
            coarser[found.height, found.width] = name
    return list(dict.fromkeys([first, last, *coarser.values()]))
