"""Whether a model's weights are still those that it was initialized with."""

from __future__ import annotations

import itertools
from typing import Any

from torch import Tensor, nn

_MARK = "_initial_weights"


def mark_random(model: nn.Module) -> None:
    """Note that a model's weights are random now."""
    model.__dict__[_MARK] = _sums(model)


def has_random_weights(backbone: Any) -> bool:
    """Whether nothing was loaded into a timm model that was built without weights, and nothing has trained it.

    Args:
        backbone: A `Backbone`; of a wrapped module nothing is known.
    """
    marked = backbone.model.__dict__.get(_MARK)
    return marked is not None and marked == _sums(backbone.model)


def _sums(model: nn.Module) -> list[float]:
    """Sums of the first parameter, of the last one, and of those in between that are large: any training moves one."""
    parameters: list[Tensor] = [parameter.detach() for parameter in model.parameters() if not parameter.is_meta]
    some = itertools.chain(parameters[:1], parameters[len(parameters) // 2 :][:1], parameters[-2:])
    return [float(parameter.double().abs().sum()) for parameter in some]
