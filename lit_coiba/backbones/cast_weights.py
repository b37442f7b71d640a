"""Weights in the precision of autocast, cast once for many forwards: autocast keeps no copy of frozen ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

_CAST = (nn.Linear, nn.Conv2d)  # what autocast runs in low precision, and nothing else reads the weights of


@contextmanager
def cast_weights(model: nn.Module) -> Iterator[None]:
    """Inside, linear layers and convolutions have their weights as autocast would cast them in each forward.

    The numbers are the same. On leaving, every module has its own parameters back; without autocast nothing is done.

    Args:
        model: The model, frozen.
    """
    own = next((p for p in model.parameters() if p.is_floating_point()), None)
    kind = "cpu" if own is None else own.device.type
    if own is None or not torch.is_autocast_enabled(kind) or torch.is_inference_mode_enabled():
        yield
        return
    low, replaced = torch.get_autocast_dtype(kind), []
    try:
        for module in model.modules():
            if type(module) not in _CAST:
                continue
            for name, parameter in list(module._parameters.items()):
                if parameter is not None and parameter.dtype == torch.float32:
                    replaced.append((module, name, parameter))
                    module._parameters[name] = nn.Parameter(parameter.detach().to(low), requires_grad=False)
        yield
    finally:
        for module, name, parameter in replaced:
            module._parameters[name] = parameter
