"""The default bottleneck layers: a choice of this project, not of a paper.

Transformers with one token grid: the first norm of every block, where CoIBA's paper puts it. Others: the outputs of all
blocks of the deepest stage whose grid still has 12 x 12 cells.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from torch import nn

from lit_coiba.core.errors import InputError
from lit_coiba.core.grid import Grid

CELLS = 12  # cells along the shorter side from which on a map is worth looking at
CAM_CELLS = 4  # the same for class activation maps, which are made of the deepest layers
_NORM = re.compile(r"^(?P<blocks>(?:.+\.)?blocks)\.\d+\.norm1$")


def default_layers(model: nn.Module, grids: dict[str, Grid]) -> list[str]:
    """Default layers: of a ViT those of `candidate_layers` from a third of the depth on, else all of them."""
    norms = _token_norms(grids)
    return norms[len(norms) // 3 :] or _deepest_stage(model, grids)


def candidate_layers(model: nn.Module, grids: dict[str, Grid]) -> list[str]:
    """Layers among which a start may be chosen; the default layers are the last of them."""
    return _token_norms(grids) or _deepest_stage(model, grids)


def cam_layer(model: nn.Module, grids: dict[str, Grid]) -> str:
    """The layer of class activation maps: the last layer with 4 x 4 cells, if there is one, where all of them count.

    After the last attention of a transformer that classifies by its CLS token the other tokens are not read any more,
    so there it is the first norm of the last block, or what goes into that block. A CNN of small images may end on a
    grid of 2 x 2 cells, which shows nothing; at 224 pixels it is the last layer.

    Raises:
        InputError: No layer has a grid.
    """
    if norms := _token_norms(grids):
        return norms[-1]
    if not grids:
        raise InputError(
            f"{type(model).__name__} has no layer with a spatial grid, which class activation maps need: use a method "
            "that needs only scores"
        )
    last = next(reversed(grids))
    if grids[last].num_prefix_tokens:
        return _deepest_stage(model, grids)[-2]
    wide = [name for name, grid in grids.items() if min(grid.height, grid.width) >= CAM_CELLS]
    return wide[-1] if wide else last


def block_outputs(candidates: list[str]) -> list[str]:
    """Outputs of the blocks whose first norms are `candidates`; none where these are layers of another kind.

    Example:
        >>> block_outputs(["blocks.0.norm1", "blocks.1.norm1"])
        ['blocks.0', 'blocks.1']
    """
    return [name.removesuffix(".norm1") for name in candidates if name.endswith(".norm1")]


def _token_norms(grids: dict[str, Grid]) -> list[str]:
    """``blocks.0.norm1`` and so on, if all blocks of the model see the same tokens."""
    groups = defaultdict(list)
    for name, grid in grids.items():
        match = _NORM.match(name)
        if match and grid.layout == "tokens":
            groups[match["blocks"]].append(name)
    if len(groups) != 1:
        return []
    (blocks, norms), *_ = groups.items()
    every = norms == [f"{blocks}.{k}.norm1" for k in range(len(norms))]
    return norms if every and len({grids[name].positions for name in norms}) == 1 else []


def _deepest_stage(model: Any, grids: dict[str, Grid]) -> list[str]:
    stages = _stages(model, grids) or _runs(model, grids) or _taps(model, grids)
    if not stages:
        raise InputError(f"{type(model).__name__} has no known stages: name the bottleneck layers in layers")
    cells = [min(grids[stage[-1]].height, grids[stage[-1]].width) for stage in stages]
    enough = min(CELLS, max(cells))
    return [stage for stage, count in zip(stages, cells) if count >= enough][-1]


def _stages(model: nn.Module, grids: dict[str, Grid]) -> list[list[str]]:
    """Sequences of blocks (modules with parts) on one grid, outermost only, in the order of execution."""
    found: dict[str, list[str]] = {}
    for name, children in _containers(model, grids).items():
        one_grid = len({(grids[c].height, grids[c].width) if c in grids else None for c in children}) == 1
        blocks = all(next(model.get_submodule(c).children(), None) is not None for c in children)
        if one_grid and blocks and children[0] in grids and not any(name.startswith(f"{outer}.") for outer in found):
            found[name] = children
    return _executed(found.values(), grids)


def _runs(model: nn.Module, grids: dict[str, Grid]) -> list[list[str]]:
    """Members of the outermost sequences, grouped by grid."""
    containers = _containers(model, grids)
    found: dict[tuple[str, int, int], list[str]] = defaultdict(list)
    outermost = min((name.count(".") for name in containers), default=0)
    for name, children in containers.items():
        for child in children:
            if child in grids and name.count(".") == outermost:
                found[name, grids[child].height, grids[child].width].append(child)
    return _executed(found.values(), grids)


def _taps(model: Any, grids: dict[str, Grid]) -> list[list[str]]:
    """The layers that timm itself taps for features, one a stage."""
    names = [info["module"] for info in getattr(model, "feature_info", None) or []]
    return _executed([[name] for name in names if name in grids], grids)


def _containers(model: nn.Module, grids: dict[str, Grid]) -> dict[str, list[str]]:
    """Sequences that hold a layer with a grid, parents first: name -> names of the children."""
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, (nn.Sequential, nn.ModuleList)):
            children = [f"{name}.{child}".lstrip(".") for child in module._modules]
            if any(child in grids for child in children):
                found[name] = children
    return found


def _executed(stages: Any, grids: dict[str, Grid]) -> list[list[str]]:
    order = {name: k for k, name in enumerate(grids)}
    return sorted(stages, key=lambda stage: order[stage[-1]])
