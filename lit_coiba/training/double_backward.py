"""Whether the gradient of a model can be differentiated again, and what stands in the way if not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
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
    weights = [parameter for parameter in backbone.parameters() if parameter.requires_grad]
    kind = like(backbone)
    with _as_in_training(backbone), context():
        images = torch.randn(2, 3, *backbone.preprocessing.size, device=kind.device, dtype=kind.dtype)
        logits = backbone(images.requires_grad_())
        return _undifferentiable(logits, images, weights)


def _undifferentiable(out: Tensor, images: Tensor, weights: list[nn.Parameter]) -> str | None:
    try:
        direction = torch.linspace(-1, 1, out.numel(), device=out.device, dtype=out.dtype).view_as(out)
        (gradient,) = torch.autograd.grad((out * direction).sum(), images, create_graph=True)
        if gradient.requires_grad:  # else it is the same whatever the weights
            torch.autograd.grad(gradient.square().sum(), [images, *weights], allow_unused=True)
    except RuntimeError as error:
        return str(error).splitlines()[0]
    return None


@contextmanager
def _as_in_training(backbone: Backbone) -> Iterator[None]:
    """Buffers, such as running statistics, and random states are given back."""
    before = {name: buffer.clone() for name, buffer in backbone.named_buffers()}
    with kept_randomness(), torch.enable_grad():
        try:
            yield
        finally:
            for name, buffer in backbone.named_buffers():
                buffer.data.copy_(before[name])


def _culprit(backbone: Backbone) -> str:
    """The innermost layer that has no second derivative by itself, for a sentence."""
    seen: dict[str, tuple[Tensor, ...]] = {}
    kind = like(backbone)

    def keep(name: str, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if len(inputs) == 1 and isinstance(inputs[0], Tensor) and inputs[0].is_floating_point():
            seen.setdefault(name, inputs)

    with ExitStack() as hooks, _as_in_training(backbone), torch.no_grad():
        for name, module in backbone.model.named_modules():
            hooks.callback(module.register_forward_pre_hook(partial(keep, name)).remove)
        backbone(torch.randn(2, 3, *backbone.preprocessing.size, device=kind.device, dtype=kind.dtype))
    with _as_in_training(backbone), sdpa_kernel([SDPBackend.MATH]):
        for name in sorted(seen, key=lambda name: -name.count(".")):
            module, given = backbone.model.get_submodule(name), seen[name][0].detach().clone().requires_grad_()
            out = module(given * 1)  # which a layer may write into
            own = [parameter for parameter in module.parameters() if parameter.requires_grad]
            if name and isinstance(out, Tensor) and out.requires_grad and _undifferentiable(out, given, own):
                return f"layer {name} ({type(module).__name__})"
    return f"the network {type(backbone.model).__name__}"
