"""Which layers the output leads through, and where the places of their grids lie in the picture."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge

from lit_coiba.backbones.looking import looking, noise_pair
from lit_coiba.backbones.planted import Plants, misplaced, planted, reference_grid
from lit_coiba.backbones.routes import edge_of, routes
from lit_coiba.core.grid import Grid


class LayerFacts(NamedTuple):
    """What one forward and one backward on two images, alike but for two places, have shown."""

    on_path: frozenset[str]  # layers from which the output depends
    cuts: frozenset[str]  # layers through which all of it leads
    read: frozenset[str]  # layers whose places, prefix tokens aside, the output reads
    misplaced: dict[str, str]  # layers whose places are not in reading order -> what was seen


def layer_facts(model: nn.Module, size: tuple[int, int], grids: dict[str, Grid]) -> LayerFacts | None:
    """Look at every layer of `grids`; None where gradients do not show the way to the images.

    Args:
        model: The model.
        size: Height and width of its images in pixels.
        grids: Its layers.
    """
    plants = Plants(size, reference_grid(grids))
    edges: dict[str, GradientEdge] = {}
    energies: dict[str, Tensor] = {}

    def watch(name: str) -> Any:
        def seen(module: nn.Module, args: Any, output: Any) -> Any:
            if any(
                output is given for given in args
            ):  # as others may read it: an edit of the layer reaches none of them
                output = output.clone()
            if (edge := edge_of(output)) is not None:
                edges[name] = edge
            moved = (output[0] - output[1]).detach().float().square()
            energies[name] = grids[name].to_map(grids[name].over_channels(moved[None]))[0]
            return output

        return seen

    with looking(model), ExitStack() as stack:
        for name, module in model.named_modules():
            if name in grids:
                stack.callback(module.register_forward_hook(watch(name)).remove)
        with torch.enable_grad():
            start = planted(noise_pair(model, size), plants).requires_grad_()
            logits = model(start.clone())
        found = routes(logits, start, edges)
        if not found.reaches:
            return None
        read = _read(logits, {name: found.edges[name] for name in grids if name in found.on_path}, grids)
    return LayerFacts(found.on_path, found.cuts, read, misplaced(energies, grids, plants))


def _read(logits: Tensor, edges: dict[str, GradientEdge], grids: dict[str, Grid]) -> frozenset[str]:
    """Those layers to whose places the gradient of the logits comes; all of them where it is zero everywhere."""
    if not edges:
        return frozenset()
    weights = torch.randn(logits.shape[1:], generator=torch.Generator().manual_seed(1)).to(logits)
    slopes = torch.autograd.grad(logits, list(edges.values()), weights.expand_as(logits), allow_unused=True)
    if not any(slope is not None and slope.any() for slope in slopes):  # a classifier of zeros says nothing
        return frozenset(edges)
    places = zip(
        edges, (slope is not None and bool(grids[n].to_spatial(slope).any()) for n, slope in zip(edges, slopes))
    )
    return frozenset(name for name, there in places if there)
