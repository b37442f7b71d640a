"""Explaining leaves a model as it was: the one place that freezes it, and gives it back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def frozen(model: Any) -> Iterator[None]:
    """Evaluation mode, no parameter gradients, autograd on (also inside ``no_grad`` and ``inference_mode``).

    On leaving, every module's train flag and every parameter's ``requires_grad`` are what they were, also after an
    exception. A callable that is not a module is left alone.
    """
    module = model if isinstance(model, nn.Module) else nn.Module()
    training = [(m, m.training) for m in module.modules()]
    trainable = [p for p in module.parameters() if p.requires_grad]
    try:
        module.eval()
        for parameter in trainable:
            parameter.requires_grad_(False)
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
        for m, flag in training:
            m.training = flag
