"""Explaining leaves a model as it was: the one place that freezes it, and gives it back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from lit_coiba.core.norm_gradients import right_norm_gradients


@contextmanager
def frozen(model: Any) -> Iterator[None]:
    """Evaluation mode, no parameter gradients, autograd on (also inside ``no_grad`` and ``inference_mode``).

    On leaving, every module's train flag and every parameter's ``requires_grad`` are what they were, also after an
    exception. A callable that is not a module is left alone. Gradients of norms are right on the CPU too
    (`right_norm_gradients`).
    """
    module = model if isinstance(model, nn.Module) else nn.Module()
    training = [(m, m.training) for m in module.modules()]
    trainable = [p for p in module.parameters() if p.requires_grad]
    try:
        module.eval()
        for parameter in trainable:
            parameter.requires_grad_(False)
        with torch.inference_mode(False), torch.enable_grad(), right_norm_gradients(module):
            yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
        for m, flag in training:
            m.training = flag


@contextmanager
def preserve_state(module: nn.Module) -> Iterator[None]:
    """`frozen` for whole runs: gradients, device and the global random states are given back as well.

    A Trainer clears gradients, moves the module to its device and then to the CPU, and seeds; its data loaders draw
    from torch's global generator. The generators of accelerators are not drawn from.
    """
    parameters = list(module.parameters())
    gradients = [parameter.grad for parameter in parameters]
    devices = {parameter.device for parameter in parameters}
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 - the global one is what is kept
    for parameter in parameters:
        parameter.grad = None  # else it would move along with its parameter
    try:
        with frozen(module), torch.random.fork_rng(devices=()):
            yield
    finally:
        if len(devices) == 1:
            module.to(devices.pop())
        for parameter, gradient in zip(module.parameters(), gradients):
            parameter.grad = gradient
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
