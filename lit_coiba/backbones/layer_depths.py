"""The depth of each parameter of a timm model: for learning rates that fall towards the input."""

from __future__ import annotations

from typing import Any

from timm.models import group_parameters

from lit_coiba.backbones.grid_head import PLACE
from lit_coiba.core.errors import InputError


def layer_depths(model: Any) -> dict[str, int]:
    """Name of each parameter -> number of its layer, 0 = next to the input; the classifier has the highest number.

    Layers are timm's own: a block of a transformer, a block of a CNN's stage.

    Raises:
        InputError: This is no model of timm.
    """
    if not hasattr(model, "group_matcher"):
        raise InputError(f"{type(model).__name__} is not a timm model: the order of its layers is unknown")
    depths = dict(group_parameters(model, model.group_matcher(coarse=False), reverse=True))
    own = [depth for name, depth in depths.items() if not name.startswith(f"{PLACE}.")]
    top = max(depths.values()) if len(own) == len(depths) else max(own) + 1
    return {name: top if name.startswith(f"{PLACE}.") else depth for name, depth in depths.items()}
