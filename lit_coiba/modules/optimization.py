"""What every training here optimises with: AdamW that spares norms, biases and embeddings, warm-up, then a cosine.

Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019, and SGDR, 2017 (one cycle, no restart).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import nn
from torch.optim import AdamW


def adamw(module: nn.Module, lr: float, weight_decay: float) -> AdamW:
    """AdamW over the trainable parameters of `module`."""
    return AdamW(parameter_groups(module, weight_decay), lr=lr)


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Trainable parameters in two groups, with and without weight decay.

    Vectors (biases, norms, scales) and what a timm model lists in `no_weight_decay` (class token, position embeddings,
    relative position biases) are not decayed.
    """
    spared = {
        f"{prefix}.{name}" if prefix else name
        for prefix, child in module.named_modules()
        for name in getattr(child, "no_weight_decay", set)()
    }
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            (kept if parameter.dim() < 2 or name in spared else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": kept, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def warmup_cosine(steps: int, warmup: float) -> Callable[[int], float]:
    """Factor on the learning rate at each step: up in a line over the share `warmup` of all steps, then a cosine to 0.

    Example:
        >>> factor = warmup_cosine(steps=100, warmup=0.1)
        >>> [round(factor(step), 2) for step in (0, 4, 9, 55, 100)]
        [0.1, 0.5, 1.0, 0.5, 0.0]
    """
    rising = round(warmup * steps)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rising) / max(1, steps - rising))))

    return factor
