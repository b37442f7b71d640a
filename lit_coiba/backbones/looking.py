"""A model is run on a few images of noise, once, to see how it behaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lit_coiba.backbones.probe import evaluated, like
from lit_coiba.backbones.routes import routes
from lit_coiba.backbones.wrappers import QUANTIZED, Box
from lit_coiba.core.behavior import Behavior
from lit_coiba.core.errors import InputError
from lit_coiba.core.frozen import kept_randomness
from lit_coiba.core.plain_forward import plain_forward

SURE = 24  # numbers in [0, 1] from which on that is no accident
ROUNDING = 1e-3  # relative differences that rounding may explain, in single precision

Forward = Callable[[Tensor], Any]


def noise_pair(model: nn.Module, size: tuple[int, int]) -> Tensor:
    """Two images ``(2, 3, H, W)`` of normal noise, always the same."""
    own = like(model)
    drawn = torch.randn((2, 3, *size), generator=torch.Generator().manual_seed(0))
    return drawn.to(own.device, own.dtype)


@contextmanager
def looking(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, plain precision, nothing compiled or recomputed; model and random states stay as they are."""
    device = like(model).device
    with ExitStack() as stack:
        for context in (evaluated(model), kept_randomness(device), plain_forward(model), torch.inference_mode(False)):
            stack.enter_context(context)
        stack.enter_context(torch.autocast(device.type, enabled=False))
        stack.enter_context(torch.no_grad())
        yield


def behave(model: nn.Module, title: str, size: tuple[int, int], classifies: bool, around: tuple[str, ...]) -> Behavior:
    """Run the model three times: on two images with gradients, again, and on the first image alone.

    Raises:
        InputError: It does not return a row of numbers for each image.
    """
    images = noise_pair(model, size)
    differentiable = QUANTIZED not in around  # whose operations have no gradients, and do not say so
    with looking(model):
        given = images.clone().requires_grad_(differentiable)
        with torch.set_grad_enabled(differentiable):
            handed = given.clone()
            first = checked_logits(model(handed), 2, title)
        flows = routes(first, given, {}).reaches
        writes = not torch.equal(handed.detach(), images)
        activation = _last_activation(first)
        logits = first.detach()
        again = checked_logits(model(images.clone()), 2, title)
        alone = checked_logits(model(images[:1].clone()), 1, title)
    chance = difference(logits, again, logits)
    return Behavior(
        title=title,
        outputs=logits.shape[1],
        classifies=classifies,
        dtype=str(images.dtype).removeprefix("torch."),
        writes_input=writes,
        batch=0.0 if chance else difference(logits[:1], alone, logits),
        chance=chance,
        scale=_scale(torch.cat([logits, again, alone]), activation),
        gradients=flows,
        around=around,
        opaque=isinstance(model, Box),
    )


def checked_logits(output: Any, count: int, title: str) -> Tensor:
    """Logits ``(count, K)``, as they should be.

    Raises:
        InputError: The output is something else.
    """
    if isinstance(output, Tensor) and output.dim() == 2 and len(output) == count:
        return output
    if isinstance(output, Tensor):
        image = "an image" if count == 1 else f"{count} images"
        squeezed = ". Does it squeeze its output? Then squeeze the pooled axes only" if output.dim() < 2 else ""
        raise InputError(
            f"{title} returns {tuple(output.shape)} for {image}, not logits ({count}, K), one logit per class{squeezed}"
            ": wrap a module that returns its logits"
        )
    named = ", ".join(map(str, list(output)[:4])) if isinstance(output, dict) else type(output).__name__
    what = f"a {type(output).__name__} with {named}" if isinstance(output, dict) else f"a {named}"
    raise InputError(
        f"{title} returns {what}, not logits (B, K), one logit per class: wrap a module whose forward picks the logits"
    )


def difference(one: Tensor, other: Tensor, pair: Tensor) -> float:
    """Largest difference of two outputs, relative to that between the two rows of `pair`; 0 = within rounding."""
    wide = pair.double() if pair.device.type != "mps" else pair.float()
    scale = max(float((wide[0] - wide[1]).abs().max()), 0.05 * float(wide.abs().max()))
    found = float((one.to(wide.dtype) - other.to(wide.dtype)).abs().max())
    least = max(ROUNDING, 8 * torch.finfo(pair.dtype).eps) * scale
    return found / scale if scale and found > least else 0.0


def _last_activation(output: Tensor) -> str:
    """Name of the operation that made the output, changes of shape and type left out; empty where it is unknown."""
    node: Any = output.grad_fn
    while node is not None and any(word in node.name() for word in ("View", "Reshape", "Squeeze", "Copy", "Clone")):
        node = next((other for other, _ in node.next_functions if other is not None), None)
    return "" if node is None else node.name()


def _scale(outputs: Tensor, activation: str) -> Literal["logits", "softmax", "sigmoid"]:
    """Whether outputs ``(n, K)`` are probabilities already; small logits may lie in [0, 1] by accident."""
    inside = bool(((outputs >= 0) & (outputs <= 1)).all())
    if not inside or outputs.shape[1] == 0:
        return "logits"
    sums = bool(((outputs.float().sum(1) - 1).abs() < 0.01).all())
    if outputs.shape[1] > 1 and sums:
        return "softmax"
    constant = bool((outputs == outputs[:1, :1]).all())
    return "sigmoid" if "Sigmoid" in activation or (outputs.numel() >= SURE and not constant) else "logits"
