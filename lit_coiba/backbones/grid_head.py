"""Another head in the place of a timm model's own classifier: it reads the feature grid, before pooling."""

from __future__ import annotations

from typing import Any

import torch
from timm.layers import NormMlpClassifierHead  # type: ignore[attr-defined]
from torch import Tensor, nn

from lit_coiba.backbones.grids import Metadata, grid_of
from lit_coiba.backbones.probe import evaluated, like
from lit_coiba.core.errors import InputError
from lit_coiba.core.grid import Grid
from lit_coiba.functional import noise, precise

PLACE = "forward_head"  # timm's verb from features to logits, in all its models


class GridHead(nn.Module):
    """From what a timm model's ``forward_features`` puts out to logits, by a head on ``(B, C, h, w)``.

    Args:
        head: ``(B, C, h, w)`` -> logits ``(B, K)``.
        grid: How the output lies in space; prefix tokens, which have no place, are left out.
        norm: The norm that the model applies after pooling, if it does (ConvNeXt).
    """

    def __init__(self, head: nn.Module, grid: Grid, norm: nn.LayerNorm | None = None) -> None:
        super().__init__()
        self.head = head
        self.grid = grid
        self._norm = (norm,)  # which stays a part of the model, and no second time of this

    @property
    def norm(self) -> nn.LayerNorm | None:
        """The norm that the model applies after pooling."""
        return self._norm[0]

    def features(self, output: Tensor) -> Tensor:
        """The grid ``(B, C, h, w)`` that the head reads."""
        return final_features(output, self.grid, self.norm)

    def forward(self, output: Tensor, pre_logits: bool = False) -> Tensor:
        """Logits ``(B, K)``; the features themselves with `pre_logits`."""
        features = self.features(output)
        return features if pre_logits else self.head(features)


def attach(model: Any, head: nn.Module, grid: Grid, size: tuple[int, int]) -> None:
    """Put `head` in the place of the model's own classifier, whose weights are gone then; names of layers stay.

    Parameters that the logits no longer depend on need no gradient any more, so that several processes can train.

    Raises:
        InputError: The model does not compute its logits as timm's models do, or the head does not fit its features.
    """
    if not hasattr(model, "forward_features") or not hasattr(model, PLACE):
        raise InputError(
            f"a head needs a timm model, and {type(model).__name__} is not one: it lacks forward_features or {PLACE}"
        )
    wanted = getattr(head, "in_channels", grid.channels)
    if wanted != grid.channels:
        raise InputError(
            f"the head {type(head).__name__} is for features of {wanted} channels, and {type(model).__name__} has"
            f" {grid.channels}: give the network that it was trained on"
        )
    norm = pooled_norm(model)
    if not isinstance(getattr(model, PLACE), GridHead):
        _check_function(model, head, size)
        model.reset_classifier(0)
    _put(model, GridHead(head, grid, norm).to(like(model).device))
    _without_unused(model, size)


def _check_function(model: Any, head: Any, size: tuple[int, int]) -> None:
    """Let a head that promises the classifier's own function look at that once, on images of noise."""
    if not hasattr(head, "check_function"):
        return
    try:
        weight, bias = linear_classifier(model)
    except InputError:
        return
    images = torch.stack([noise(0, image, 0, (3, *size)) for image in range(2)]).to(like(model))
    with evaluated(model), torch.no_grad():
        logits = model(images)
        if isinstance(logits, Tensor):
            head.check_function(logits, timm_features(model, images), weight, bias)


def _put(model: nn.Module, placed: GridHead) -> None:
    """Make a module ``forward_head`` of the model, in the place of timm's method of this name.

    timm has no slot for a head on the grid: each family pools, drops and normalizes in its own `forward_head`, and all
    of them compute ``forward_head(forward_features(images))``. So the head is a submodule of this name: `print(model)`
    shows it, its weights are ``forward_head.head.*`` in every checkpoint, and timm's own forward calls it, as do DDP,
    hooks and what follows the forward module by module.

    The one trick is the second line. PyTorch keeps submodules apart from attributes, and Python looks for a method of
    the class before it asks PyTorch, so the module is also an attribute of this instance, which comes first.
    """
    setattr(model, PLACE, placed)  # a submodule
    vars(model)[PLACE] = placed  # and what `model.forward_head` means


def attached(model: nn.Module) -> nn.Module | None:
    """The head that `attach` has put there."""
    placed = vars(model).get(PLACE)
    return placed.head if isinstance(placed, GridHead) else None


def timm_features(model: Any, images: Tensor) -> Tensor:
    """Grid before the pooling of a timm model, ``(B, C, h, w)``.

    Raises:
        InputError: What its ``forward_features`` puts out has no grid.
    """
    output = model.forward_features(images)
    size = (images.shape[-2], images.shape[-1])
    return final_features(output, _grid_of(model, output, size), pooled_norm(model))


def blank_grid(model: Any, size: tuple[int, int]) -> Grid:
    """How what ``forward_features`` puts out lies in space for images of `size`, in evaluation mode.

    Raises:
        InputError: This is no model of timm, or its features have no grid.
    """
    if not hasattr(model, "forward_features"):
        raise InputError(f"{type(model).__name__} is not a timm model: its features before pooling are unknown")
    own = like(model)
    with evaluated(model), torch.no_grad():
        output = model.forward_features(torch.zeros(1, 3, *size, dtype=own.dtype, device=own.device))
    return _grid_of(model, output, size)


def _grid_of(model: nn.Module, output: Any, size: tuple[int, int]) -> Grid:
    shape = tuple(output.shape[1:]) if isinstance(output, Tensor) else f"a {type(output).__name__} of {len(output)}"
    grid = grid_of("features", shape, size, Metadata.of(model, size)) if isinstance(shape, tuple) else None
    if grid is None:
        raise InputError(
            f"{type(model).__name__} has no features on one grid: its forward_features puts out {shape} for an image;"
            " use a layer's grid, or a method that needs none"
        )
    return grid


def final_features(output: Tensor, grid: Grid, norm: nn.LayerNorm | None) -> Tensor:
    """What ``forward_features`` puts out as ``(B, C, h, w)``, after the norm that the model applies once pooled.

    That norm is applied position by position with the mean and the variance of the pooled vector, and so the average
    over positions is the normalized average: gamma (F - mu) / sqrt(var + eps) + beta.
    """
    features = grid.to_spatial(output)
    if norm is None:
        return features
    eps, weight, bias = norm.eps, norm.weight, norm.bias
    pooled = precise(features).mean((-2, -1), keepdim=True)
    mean, variance = pooled.mean(1, keepdim=True), pooled.var(1, correction=0, keepdim=True)
    normalised = ((features - mean) * (variance + eps).rsqrt()).to(features.dtype)
    return normalised * weight.view(-1, 1, 1) + bias.view(-1, 1, 1)


def pooled_norm(model: Any) -> nn.LayerNorm | None:
    """The norm between a model's pooling and its classifier, if it has one on feature maps."""
    placed = vars(model).get(PLACE)
    if isinstance(placed, GridHead):
        return placed.norm
    head = getattr(model, "head", None)
    return head.norm if isinstance(head, NormMlpClassifierHead) and isinstance(head.norm, nn.LayerNorm) else None


def linear_classifier(model: Any) -> tuple[Tensor, Tensor]:
    """Weight ``(K, C)`` and bias ``(K,)`` of a model's own last layer, copied.

    Raises:
        InputError: It has none.
    """
    layer = getattr(model, "get_classifier", nn.Identity)()
    if isinstance(layer, nn.Linear | nn.Conv2d) and layer.weight[0, 0].numel() == 1:
        weight = layer.weight.detach().flatten(1).clone()
        bias = torch.zeros_like(weight[:, 0]) if layer.bias is None else layer.bias.detach().clone()
        return weight, bias
    raise InputError(f"{type(model).__name__} has no linear classifier of its own: give a model with one")


def _without_unused(model: nn.Module, size: tuple[int, int]) -> None:
    """Ask for no gradient of parameters that the logits do not depend on."""
    asked = [parameter for parameter in model.parameters() if parameter.requires_grad]
    own = like(model)
    try:
        with evaluated(model), torch.inference_mode(False), torch.enable_grad():
            logits = model(torch.zeros(2, 3, *size, dtype=own.dtype, device=own.device))
            if not logits.requires_grad:  # all that they depend on is frozen already
                return
            gradients = torch.autograd.grad(logits.sum(), asked, allow_unused=True)
    except RuntimeError as error:
        raise InputError(f"the head does not fit the features of {type(model).__name__}: {error}") from error
    for parameter, gradient in zip(asked, gradients):
        if gradient is None:
            parameter.requires_grad_(False)
