"""Methods at the same layer: ML-Att (Rao, Boehle and Schiele, 2022, arXiv 2205.10435, section 3.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lit_coiba.core.errors import InputError
from lit_coiba.core.method import AttributionMethod
from lit_coiba.core.printable import printable

MIDDLE, FINAL = "middle", "final"


def at_layers(
    methods: Mapping[str, AttributionMethod], network: Any, layers: Sequence[str]
) -> dict[str, AttributionMethod]:
    """A row for each method and layer, so that no method is ahead of another for the layer that it looks at.

    Maps of a late layer are coarse and centered, those of the input are fine and noisy: a table of methods that look at
    different layers ranks the layers too. A method that has no layer to choose keeps one row, marked ``(own layer)``.

    Args:
        methods: Name of the row -> method.
        network: The model, a `Backbone` or a trained classifier.
        layers: Names of modules with a grid, or ``middle`` and ``final``: of the layers at which bottlenecks may start,
            the one in the middle, and the default layer of class activation maps.

    Raises:
        InputError: A layer has no grid, or two words stand for one layer.

    Example:
        >>> from lit_coiba import Backbone, GradCAM
        >>> rows = at_layers({"grad_cam": GradCAM()}, Backbone("resnet18"), ["layer3", "final"])
        >>> {name: method.layer for name, method in rows.items()}
        {'grad_cam at layer3': 'layer3', 'grad_cam at final': 'layer4'}
    """
    found: dict[str, AttributionMethod] = {}
    named = {word: _named(word, network) for word in layers}
    if len(set(named.values())) < len(layers):
        raise InputError(f"layers: {printable(', '.join(layers), 200)} name one layer twice: give each once")
    for name, method in methods.items():
        arguments = method.arguments()
        if "layer" not in arguments:
            found[f"{name} (own layer)"] = method
            continue
        for word, layer in named.items():
            found[f"{name} at {word}"] = type(method)(**{**arguments, "layer": layer})
    return found


def _named(word: str, network: Any) -> str:
    """The layer that a word stands for."""
    if word == FINAL:
        return str(network.cam_layer())
    if word == MIDDLE:
        candidates = network.candidate_layers()
        return str(candidates[len(candidates) // 2])
    network.grid(word)  # refuses what is none
    return word
