"""Outputs whose shape is that of a grid, and which are none: attention weights, heads, padded windows, sequences."""

from __future__ import annotations

from torch import nn

from lit_coiba.backbones.probe import Probe
from lit_coiba.core.grid import Grid

_HANDED_ON = (nn.Dropout, nn.Identity, nn.Softmax)  # what they return has the shape of what they are given
_PLACES_LAST = (nn.Conv1d, nn.ConvTranspose1d, nn.BatchNorm1d, nn.InstanceNorm1d, nn.AvgPool1d, nn.MaxPool1d)

Shape = tuple[int, ...]  # of one image's output, without the batch axis


def lookalikes(model: nn.Module, seen: Probe) -> set[str]:
    """Layers whose output is no grid, whatever its shape says.

    Args:
        model: The probed model.
        seen: Its probe.
    """
    found: set[str] = set()
    before = ""
    for name, record in seen.records.items():
        if record.shape is not None:
            module, around = model.get_submodule(name), [_shape(parent, seen) for parent in _parents(name, seen)]
            weights = before in found or _shape(before, seen) != record.shape
            if (
                _per_head(record.shape, around)
                or (weights and _weights(module, record.shape, around[-1:]))
                or (len(record.shape) == 2 and isinstance(module, _PLACES_LAST))
            ):
                found.add(name)
        before = name
    return found


def padded(grids: dict[str, Grid], seen: Probe) -> set[str]:
    """Tokens of a window that is wider than the feature map: inside a block that takes and returns fewer places.

    Maps with channels first may be upsampled and reduced again inside a block, so these stay.

    Args:
        grids: What the shapes of the layers say.
        seen: The probe.
    """
    before = ""
    given: dict[str, str] = {}  # module -> what returned last before the first of its parts did
    for name in seen.records:
        for parent in _parents(name, seen):
            given.setdefault(parent, before)
        before = name
    found = set()
    for name, grid in grids.items():
        for block in (grids[p] for p in _parents(name, seen) if p in grids):
            start = grids.get(given[block.layer])
            kept = start is not None and (start.height, start.width) == (block.height, block.width)
            wider = grid.height * grid.width > block.height * block.width
            if grid.layout != "channels_first" and block.layout != "tokens" and kept and wider:
                found.add(name)
    return found


def _per_head(shape: Shape, around: list[Shape]) -> bool:
    """Whether this is ``(heads, T, T)`` or ``(heads, T, C)`` inside a module that puts out T tokens."""
    return len(shape) == 3 and any(len(other) == 2 and other[0] == shape[1] for other in around)


def _weights(module: nn.Module, shape: Shape, around: list[Shape]) -> bool:
    """Whether this may be ``(heads, T, T)`` inside a module that puts out a feature map of T places."""
    square = len(shape) == 3 and shape[1] == shape[2] and isinstance(module, _HANDED_ON)
    return square and any(
        len(other) == 3 and shape[1] in (other[1] * other[2], other[0] * other[1]) for other in around
    )


def _parents(name: str, seen: Probe) -> list[str]:
    """Modules around this one, outermost first."""
    parents = [name[:i] for i, letter in enumerate(name) if letter == "."]
    return [parent for parent in parents if parent in seen.records]


def _shape(name: str, seen: Probe) -> Shape:
    """Shape of what a module returned; empty where it is not one tensor with a row per image."""
    return (seen.records[name].shape or ()) if name in seen.records else ()
