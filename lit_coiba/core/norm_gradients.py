"""Right gradients of batch and instance norms on the CPU, where torch misreads some orders of memory.

Of a single image, torch 2.14's kernel takes a gradient whose channels lie last for one whose channels lie first: what
leads back through ``tokens.transpose(1, 2).unflatten(2, (h, w))`` is such a gradient, and the result is shuffled. Where
torch is right, nothing changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase


@contextmanager
def right_norm_gradients(model: nn.Module) -> Iterator[None]:
    """Gradients reach the norms of `model` in the order of what these return; on leaving, the model is as it was."""
    norms = [module for module in model.modules() if isinstance(module, _NormBase)]
    handles = [norm.register_forward_hook(_ordered) for norm in norms]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _ordered(norm: nn.Module, inputs: Any, output: Tensor) -> None:
    instances = isinstance(norm, nn.modules.instancenorm._InstanceNorm)  # whose kernel joins images and channels
    at_risk = output.device.type == "cpu" and output.ndim > 3 and (instances or len(output) == 1)
    if at_risk and output.requires_grad and not torch._C._functorch.is_functorch_wrapped_tensor(output):
        last = output.is_contiguous(memory_format=torch.channels_last) and not output.is_contiguous()
        layout = torch.channels_last if last else torch.contiguous_format
        output.register_hook(lambda gradient: gradient.contiguous(memory_format=layout))
