"""How a module's output lies in space, inferred from its shape, the image's shape and timm's metadata."""

from __future__ import annotations

from math import isqrt
from typing import Any, NamedTuple

from torch import nn

from lit_coiba.backbones.lookalikes import lookalikes, padded
from lit_coiba.backbones.probe import Probe
from lit_coiba.core.grid import Grid

# Their token axis is not in reading order, so a shape that fits would still be a wrong map.
_SHUFFLED_TOKENS = frozenset({"Hiera", "Nest"})

# Their tokens are hidden states of a state space, 49, 25 and 9 of them, and no places; their feature maps are.
_STATES = frozenset({"EfficientViM", "EfficientViMDistilled"})

Shape = tuple[int, ...]  # of one image's output, without the batch axis


class Metadata(NamedTuple):
    """What timm says about a model's layout."""

    prefixes: tuple[int, ...]  # numbers of prefix tokens to expect, likeliest first
    patches: tuple[int, int] | None  # grid of the patch embedding
    channels_last: bool
    shuffled: bool
    states: bool = False

    @classmethod
    def of(cls, model: Any, size: tuple[int, int]) -> Metadata:
        """Read the metadata of `model` for images of `size`."""
        prefix = getattr(model, "num_prefix_tokens", None)
        embedding: Any = getattr(model, "patch_embed", None)
        patches: Any = getattr(embedding, "grid_size", None)
        if hasattr(embedding, "dynamic_feat_size") and not getattr(embedding, "strict_img_size", True):
            patches = embedding.dynamic_feat_size(size)
        return cls(
            prefixes=(0, 1) if prefix is None else tuple(dict.fromkeys((int(prefix), 0))),
            patches=tuple(patches) if patches is not None else None,
            channels_last=str(getattr(model, "output_fmt", "")) == "NHWC",
            shuffled=type(model).__name__ in _SHUFFLED_TOKENS,
            states=type(model).__name__ in _STATES,
        )


def grids(model: nn.Module, first: Probe, second: Probe | None = None) -> dict[str, Grid]:
    """Every layer that methods can use, in the order of execution, and its grid.

    Args:
        model: The probed model.
        first: The probe of the image size that is used.
        second: A probe of twice the width, which shows which axis is the width if a shape alone does not.
    """
    metadata = Metadata.of(model, first.size)
    found, others = {}, lookalikes(model, first)
    for name, record in first.records.items():
        if record.calls != 1 or record.shape is None or name in others:
            continue
        other = second.records[name].shape if second is not None and name in second.records else None
        grid = grid_of(name, record.shape, first.size, metadata, other)
        if grid is not None:
            found[name] = grid
    wider = padded(found, first)
    return {name: grid for name, grid in found.items() if name not in wider}


def grid_of(
    layer: str, shape: Shape, size: tuple[int, int], metadata: Metadata, wider: Shape | None = None
) -> Grid | None:
    """The grid of an output `shape` for images of `size`; None = it has none.

    Args:
        layer: Its name.
        shape: ``(T, C)``, ``(C, h, w)`` or ``(h, w, C)``.
        size: Image height and width in pixels.
        metadata: What timm says about the model.
        wider: The shape for images of twice the width, if known.
    """
    if len(shape) == 2 and not metadata.shuffled and not metadata.states:
        return _token_grid(layer, shape, size, metadata)
    if len(shape) != 3 or (metadata.shuffled and not metadata.channels_last):
        return None
    first, last = _fits(shape[1:], size), _fits(shape[:2], size)
    if first and last:
        last = metadata.channels_last if wider is None or len(wider) != 3 else wider[1] > shape[1]
    if last:
        return Grid(layer, "channels_last", shape[0], shape[1], shape[2])
    return Grid(layer, "channels_first", shape[1], shape[2], shape[0]) if first else None


def ambiguous(shape: Shape, size: tuple[int, int]) -> bool:
    """Whether ``(a, b, c)`` may be channels-first and channels-last alike."""
    return len(shape) == 3 and _fits(shape[1:], size) and _fits(shape[:2], size)


def _token_grid(layer: str, shape: Shape, size: tuple[int, int], metadata: Metadata) -> Grid | None:
    for prefix in metadata.prefixes:
        places = shape[0] - prefix
        if metadata.patches is not None and places == metadata.patches[0] * metadata.patches[1] > 1:
            return Grid(layer, "tokens", *metadata.patches, shape[1], prefix)
        height = isqrt(max(places, 0) * size[0] // size[1])
        if places > 1 and height and places % height == 0 and height * size[1] == places // height * size[0]:
            return Grid(layer, "tokens", height, places // height, shape[1], prefix)
    return None


def _fits(grid: Shape, size: tuple[int, int]) -> bool:
    """Whether one reduction, with any rounding, makes `grid` of `size`: several cells, none smaller than a pixel."""
    if max(grid) < 2 or grid[0] > size[0] or grid[1] > size[1]:
        return False
    low = max(pixels / (cells + 1) for cells, pixels in zip(grid, size))
    high = min(pixels / (cells - 1) if cells > 1 else float("inf") for cells, pixels in zip(grid, size))
    return low < high
