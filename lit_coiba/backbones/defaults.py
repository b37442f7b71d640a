"""The default layers: a choice of this project, not of a paper.

Bottlenecks of transformers that classify by CLS: the first norm of every block, where CoIBA's paper puts it. Of other
transformers with one token grid, where the residual stream goes round these norms: the outputs of blocks. Others: the
outputs of all blocks of the deepest stage whose grid still has 12 x 12 cells. Only layers that the logits depend on
count, and of these the cuts, which nothing goes round.
"""

from __future__ import annotations

import re
import warnings
from collections import defaultdict
from dataclasses import replace
from functools import cached_property
from typing import Any

from torch import nn

from lit_coiba.backbones.layer_facts import LayerFacts
from lit_coiba.backbones.shares import Shares
from lit_coiba.core.errors import InputError
from lit_coiba.core.grid import Grid

CELLS = 12  # cells along the shorter side from which on a map is worth looking at
EARLY = 0.25  # share of the layers within which a last cut is the stem, whose map says nothing of what is recognized
CAM_CELLS = 4  # the same for class activation maps, which are made of the deepest layers
_BLOCK = re.compile(r"^blocks\.\d+$")
_NORM = re.compile(r"^(?P<blocks>(?:.+\.)?blocks)\.\d+\.norm1$")


class Defaults:
    """Default layers of one model, each found once, with a warning where what they carry is not all there is.

    Args:
        title: Name of the model.
        model: The model.
        grids: Its layers.
        facts: What a look at them has shown; None = names and grids alone decide.
        shares: Measures what goes round layers.
        refused: Layers whose places are not in reading order, and what was seen.
    """

    def __init__(
        self,
        title: str,
        model: nn.Module,
        grids: dict[str, Grid],
        facts: LayerFacts | None,
        shares: Shares,
        refused: dict[str, str],
    ) -> None:
        self._title, self._model, self._facts, self._shares, self._refused = title, model, facts, shares, refused
        self._grids = {name: g for name, g in grids.items() if facts is None or name in facts.on_path} or grids

    @cached_property
    def layers(self) -> list[str]:
        """Bottleneck layers: of a ViT that classifies by CLS the `candidates` from a third of the depth on, else all.

        Raises:
            InputError: There is nothing to choose by.
        """
        norms = self._norms
        in_blocks = norms or self._blocks
        found = in_blocks[len(in_blocks) // 3 :] if in_blocks else self.candidates
        if not norms and (share := self.layers_round(found)):
            self._warn(f"its default bottleneck layers ({_listed(found)})", share)
        return found

    @cached_property
    def candidates(self) -> list[str]:
        """Layers among which a start may be chosen; the default layers are the last of them.

        Raises:
            InputError: There is nothing to choose by.
        """
        self._refuse_none()
        if len(self._refused) > len(self._grids):
            self._refuse_early()
        return self._norms or self._blocks or self._alike(self._cuts_of(_deepest_stage(self._model, self._grids)))

    @cached_property
    def cam_layer(self) -> str:
        """The layer of class activation maps: the last cut with 4 x 4 cells, if there is one, whose places are read.

        A CNN of small images may end on a grid of 2 x 2 cells, which shows nothing; at 224 pixels it is the last layer.
        After the last attention of a transformer that classifies by its CLS token the other tokens are not read any
        more: there it is the norm that begins the last block.

        Raises:
            InputError: No layer has a grid.
        """
        self._refuse_none()
        if self._facts is None:
            return self._cam_layer_by_name()
        if self._norm_behind is not None:
            return self._norm_behind
        names = list(self._grids)
        if self._last_cut is not None and names.index(self._last_cut) >= EARLY * (len(names) + len(self._refused)):
            return self._last_cut
        self._refuse_early()
        seen = [name for name in self._grids if name in self._facts.read]
        layer = self._widest_last([name for name in seen if self._may_be_named(name)] or seen or list(self._grids))
        if share := self._shares.round([layer]):
            self._warn(f"{layer}, the default layer of class activation maps", share)
        return layer

    @property
    def cam_round(self) -> float:
        """Share that goes round `cam_layer`; of what the places say, where prefix tokens go their own way."""
        return 0.0 if self.cam_layer == self._norm_behind else self.layers_round([self.cam_layer])

    def layers_round(self, layers: list[str]) -> float:
        """Share of the logits' difference between two images that goes round `layers` together."""
        if self._facts is None or all(layer in self._facts.cuts for layer in layers):
            return 0.0
        return self._shares.round(layers)

    @cached_property
    def _last_cut(self) -> str | None:
        if self._facts is None:
            return None
        cuts = [n for n in self._grids if n in self._facts.cuts & self._facts.read and self._may_be_named(n)]
        return self._widest_last(cuts) if cuts else None

    @cached_property
    def _norms(self) -> list[str]:
        """``blocks.0.norm1`` and so on, where all that the classifier reads of patches passes the last of them."""
        norms = _token_norms(self._grids)
        if not norms or self._facts is None:
            return norms
        return norms if self._norm_behind == norms[-1] else []

    @cached_property
    def _blocks(self) -> list[str]:
        """Outputs of a transformer's blocks, where they are cuts."""
        blocks = block_outputs(_token_norms(self._grids))
        known = self._facts is not None and all(name in self._facts.cuts for name in blocks)
        return blocks if known else []

    def _cuts_of(self, layers: list[str]) -> list[str]:
        """Those of some layers through which all leads; where none is, the last with enough cells of all that are."""
        if self._facts is None:
            return layers
        cells = {name: min(self._grids[name].height, self._grids[name].width) for name in self._grids}
        every = [
            name for name in self._grids if name in self._facts.cuts & self._facts.read and self._may_be_named(name)
        ]
        enough = min(CELLS, max((cells[name] for name in every), default=0))
        last = [name for name in every if cells[name] >= enough][-1:]
        return [name for name in layers if name in self._facts.cuts] or last or layers

    def _refuse_none(self) -> None:
        if not self._grids:
            raise InputError(
                f"{self._title} has no layer with a spatial grid, which class activation maps and bottlenecks need: use"
                " a method that needs only scores"
            )

    def _refuse_early(self) -> None:
        for name, seen in self._refused.items():
            raise InputError(
                f"{self._title} has no default layer, since places of its deeper layers are not in reading order: in"
                f" {name}, {seen}. Reorder its tokens in the model (row by row, CLS first)"
            )

    def _alike(self, layers: list[str]) -> list[str]:
        """Those of some layers with as many prefix tokens as most: a CLS token may join on the way (ConViT)."""
        counts = [self._grids[name].num_prefix_tokens for name in layers]
        return [name for name, count in zip(layers, counts) if count == max(counts, key=counts.count)]

    @cached_property
    def _norm_behind(self) -> str | None:
        """The norm that begins the block behind the last cut, if all that is read of the places of tokens passes it."""
        cuts = [] if self._facts is None else [n for n in self._grids if n in self._facts.cuts & self._facts.read]
        if not cuts or not self._grids[cuts[-1]].num_prefix_tokens:
            return None
        cut = self._grids[cuts[-1]]
        names = list(self._grids)
        for name in names[names.index(cut.layer) + 1 :]:
            grid = self._grids[name]
            same = replace(grid, layer=cut.layer) == cut
            if same and "Norm" in type(self._model.get_submodule(name)).__name__:
                return None if self._shares.places_round(grid, cut) else name
        return None

    def _may_be_named(self, name: str) -> bool:
        """Of a transformer's modules, those whose channels are the residual stream's: blocks, and norms."""
        module = self._model.get_submodule(name)
        if self._grids[name].layout != "tokens":
            return True
        return next(module.children(), None) is not None or "Norm" in type(module).__name__

    def _widest_last(self, names: list[str]) -> str:
        wide = [n for n in names if min(self._grids[n].height, self._grids[n].width) >= CAM_CELLS]
        return (wide or names)[-1]

    def _cam_layer_by_name(self) -> str:
        if norms := _token_norms(self._grids):
            return norms[-1]
        last = next(reversed(self._grids))
        if self._grids[last].num_prefix_tokens:
            return _deepest_stage(self._model, self._grids)[-2]
        return self._widest_last(list(self._grids))

    def _warn(self, what: str, share: float) -> None:
        warnings.warn(
            f"{min(share, 1):.0%} of what distinguishes the logits of two images goes round {what}: {self._title} has"
            " no layer that all of it passes and whose places can be seen, so a map shows a part; name another layer,"
            " or use a method that needs only scores",
            stacklevel=4,
        )


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"


def block_outputs(candidates: list[str]) -> list[str]:
    """Outputs of the blocks whose first norms, or which themselves, are `candidates`; none where these are others.

    Example:
        >>> block_outputs(["blocks.0.norm1", "blocks.1.norm1"]), block_outputs(["blocks.4"])
        (['blocks.0', 'blocks.1'], ['blocks.4'])
    """
    return [name.removesuffix(".norm1") for name in candidates if name.endswith(".norm1") or _BLOCK.match(name)]


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
