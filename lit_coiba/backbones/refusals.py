"""Why a layer cannot be used, in one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from torch import nn

from lit_coiba.backbones.probe import Probe
from lit_coiba.core.errors import InputError


def unusable(
    layer: str,
    title: str,
    model: nn.Module,
    seen: Probe,
    usable: Iterable[str],
    examples: Sequence[str],
    moved: str = "",
) -> InputError:
    """The error for a `layer` that is none of the `usable` ones.

    Args:
        layer: What was asked for.
        title: Name of the model.
        model: The model.
        seen: What its probe has recorded.
        usable: Layers that can be used.
        examples: Some of them.
        moved: Where its places were seen, if they are not in reading order.
    """
    choose = f"choose {', '.join(examples)}, ..." if examples else "no other layer has one either"
    if layer not in dict(model.named_modules()):
        near = get_close_matches(layer, usable, n=3, cutoff=0.5)
        what = f"did you mean {', '.join(near)}?" if near else choose
        return InputError(f"{title} has no layer {layer!r}: {what}")
    record = seen.records.get(layer)
    if record is None:
        why = "is not called in the model's forward"
    elif record.calls > 1:
        why = f"is called {record.calls} times in a forward"
    elif record.shape is None:
        why = "does not return one tensor with a row for each image"
    elif moved:
        why = (
            f"does not have its places in reading order, prefix tokens first: {moved}. Reorder its tokens in the model"
            " (row by row, CLS first), or, if its map is right as it is, Backbone.wrap(..., look=False)"
        )
        return InputError(f"layer {layer!r} of {title} {why}")
    else:
        why = f"has no spatial grid, since its output has shape {record.shape} for an image"
    return InputError(f"layer {layer!r} of {title} {why}: {choose}")
