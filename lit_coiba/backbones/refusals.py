"""Why a module of a model cannot be used as a layer, and which ones can."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from lit_coiba.backbones.probe import Probe
from lit_coiba.core.errors import InputError


def no_layer(layer: str, title: str, layers: Sequence[str], examples: Sequence[str]) -> InputError:
    """The error for a layer that the model does not have at all."""
    near = get_close_matches(layer, layers, n=3, cutoff=0.5)
    what = f"did you mean {', '.join(near)}?" if near else f"choose {', '.join(examples)}, ..."
    return InputError(f"{title} has no layer {layer!r}: {what}")


def no_grid(layer: str, probe: Probe, title: str, examples: Sequence[str]) -> InputError:
    """The error for a module whose output has no places."""
    record = probe.records.get(layer)
    if record is None:
        why = "is not called in the model's forward"
    elif record.calls > 1:
        why = f"is called {record.calls} times in a forward"
    elif record.shape is None:
        why = "does not return one tensor with a row for each image"
    else:
        why = f"has no spatial grid, since its output has shape {record.shape} for an image"
    return InputError(f"layer {layer!r} of {title} {why}: choose {', '.join(examples)}, ...")
