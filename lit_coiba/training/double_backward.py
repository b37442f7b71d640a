"""Whether the gradient of a model can be differentiated again, and what stands in the way if not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from lit_coiba.backbones import Backbone
from lit_coiba.backbones.probe import like
from lit_coiba.core.errors import InputError
from lit_coiba.core.frozen import kept_randomness
from lit_coiba.core.printable import printable

NEEDS = "harmonization trains through the gradient of the images"


class DoubleBackward:
    """Runs a model so that its gradient has a gradient; attention is computed step by step only where that is needed.

    Args:
        backbone: The model, on its device.

    Raises:
        InputError: A layer has no second derivative; the message names it.
    """

    def __init__(self, backbone: Backbone) -> None:
        self._stepwise = False
        failure = _failure(backbone, nullcontext)
        if failure is None:
            return
        self._stepwise = True
        if (left := _failure(backbone, self.possible)) is not None:
            where = _culprit(backbone)
            raise InputError(
                f"{where} has no second derivative ({printable(left, 120)}), and {NEEDS}: make it of torch's own"
                " differentiable operations, or train a plain Classifier"
            )
        rank_zero_info(f"attention runs without its fused kernels, which have no second derivative, since {NEEDS}")

    @contextmanager
    def possible(self) -> Iterator[None]:
        """Within this a forward leaves a graph whose gradient can be differentiated again."""
        with sdpa_kernel([SDPBackend.MATH]) if self._stepwise else nullcontext():
            yield


def _failure(backbone: Backbone, context: Any) -> str | None:
    """What torch says where the gradient of noise has no gradient with respect to the weights; None = it has."""
    own, kind = (
        deepcopy(backbone),
        like(backbone),
    )  # gradients and running statistics of a copy, whatever hooks there are
    with kept_randomness(), torch.enable_grad(), context():
        images = torch.randn(2, 3, *own.preprocessing.size, device=kind.device, dtype=kind.dtype)
        return _undifferentiable(own(images.requires_grad_()), images)


def _undifferentiable(out: Tensor, images: Tensor) -> str | None:
    try:
        direction = torch.linspace(-1, 1, out.numel(), device=out.device, dtype=out.dtype).view_as(out)
        shown = (out * direction.requires_grad_()).sum()
        (gradient,) = torch.autograd.grad(shown, images, create_graph=True)
        if gradient.requires_grad:  # else it is the same whatever the weights
            gradient.square().sum().backward()  # all of the graph: errors that stand in the place of a branch too
    except RuntimeError as error:
        return str(error).splitlines()[0]
    return None


def _culprit(backbone: Backbone) -> str:
    """The innermost layer that has no second derivative by itself, for a sentence."""
    own, kind = deepcopy(backbone), like(backbone)
    seen: dict[str, Tensor] = {}

    def keep(name: str, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if len(inputs) == 1 and isinstance(inputs[0], Tensor) and inputs[0].is_floating_point():
            seen.setdefault(name, inputs[0].detach().clone())

    for name, module in own.model.named_modules():
        module.register_forward_pre_hook(partial(keep, name))
    with kept_randomness(), torch.enable_grad(), sdpa_kernel([SDPBackend.MATH]):
        with torch.no_grad():
            own(torch.randn(2, 3, *own.preprocessing.size, device=kind.device, dtype=kind.dtype))
        for name in sorted(filter(None, seen), key=lambda name: -name.count(".")):
            module, given = own.model.get_submodule(name), seen[name].requires_grad_()
            out = module(given * 1)  # which a layer may write into
            if isinstance(out, Tensor) and out.requires_grad and _undifferentiable(out, given):
                return f"layer {name} ({type(module).__name__})"
    return f"the network {type(own.model).__name__}"
