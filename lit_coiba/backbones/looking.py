"""A model is run on a few images of noise, once, to see how it behaves."""

from __future__ import annotations

from collections.abc import Iterator
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
from lit_coiba.core.printable import a_kind

SURE = 24  # classes from which on it is no accident that all outputs are in [0, 1]
_BOUNDED = ("Sigmoid", "Softmax", "SafeSoftmax", "Hardsigmoid")  # of autograd's names of operations
_PASSED = (
    *("View", "UnsafeView", "Reshape", "Squeeze", "Unsqueeze", "ToCopy", "Clone", "Copy", "Slice", "Select", "Index"),
    *("Permute", "Transpose", "T", "Expand", "Alias", "AsStrided", "Cat", "Stack", "Mean", "Sum", "Add", "Div", "Mul"),
)
ROUNDING = 1e-3  # relative differences that rounding may explain, in single precision


def noise_pair(model: nn.Module, size: tuple[int, int]) -> Tensor:
    """Two images ``(2, 3, H, W)`` of normal noise, always the same."""
    own = like(model)
    with torch.inference_mode(False):
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
        bounded = _bounded(first)
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
        scale=_scale(torch.cat([logits, again, alone]), bounded) if classifies else "logits",
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
    fields = (
        output if isinstance(output, dict) else getattr(output, "__dataclass_fields__", getattr(output, "_fields", ()))
    )
    names = [str(name) for name in list(fields)[:4]]
    what = f"{a_kind(output)} with {', '.join(names)}" if names else a_kind(output)
    pick = ""
    if "logits" in names:
        pick = ", model(images)['logits']" if type(output) is dict else ", model(images).logits"
    elif isinstance(output, (tuple, list)):
        pick = ", such as model(images)[0]"
    raise InputError(
        f"{title} returns {what}, not logits (B, K), one logit per class: wrap a module whose forward picks the logits"
        f"{pick}"
    )


def difference(one: Tensor, other: Tensor, pair: Tensor) -> float:
    """Largest difference of two outputs, relative to that between the two rows of `pair`; 0 = within rounding."""
    wide = pair.double() if pair.device.type != "mps" else pair.float()
    scale = max(float((wide[0] - wide[1]).abs().max()), 0.05 * float(wide.abs().max()))
    found = float((one.to(wide.dtype) - other.to(wide.dtype)).abs().max())
    least = max(ROUNDING, 8 * torch.finfo(pair.dtype).eps) * scale
    return found / scale if scale and found > least else 0.0


def _bounded(output: Tensor) -> bool:
    """Whether a sigmoid or a softmax made the output, but for what moves, joins or averages numbers."""
    nodes, depth = [output.grad_fn], 0
    while nodes and depth < 12:
        if any(node.name().startswith(_BOUNDED) for node in nodes if node is not None):
            return True
        passed = [
            node for node in nodes if node is not None and node.name().removesuffix("Backward0").startswith(_PASSED)
        ]
        nodes, depth = [other for node in passed for other, _ in node.next_functions], depth + 1
    return False


def _scale(outputs: Tensor, bounded: bool) -> Literal["logits", "softmax", "sigmoid"]:
    """Whether outputs ``(n, K)`` are probabilities already; small logits may lie in [0, 1] by accident."""
    if not bool(((outputs >= 0) & (outputs <= 1)).all()):
        return "logits"
    classes = outputs.shape[1]
    if classes > 1 and bool(((outputs.float().sum(1) - 1).abs() < 0.01).all()):
        return "softmax"
    constant = bool((outputs == outputs[:1, :1]).all())
    return "sigmoid" if bounded or (classes >= SURE and not constant) else "logits"
