"""Explaining leaves a model as it was: the one place that freezes it, and gives it back."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from lit_coiba.core.norm_gradients import right_norm_gradients
from lit_coiba.core.plain_forward import plain_forward

_depth = threading.local()  # how many `frozen` a thread is inside of


def is_frozen() -> bool:
    """Whether this thread is inside `frozen`: models run to be explained, and nothing is learned from what they see."""
    return getattr(_depth, "count", 0) > 0


@contextmanager
def frozen(model: Any) -> Iterator[None]:
    """Evaluation mode, no parameter gradients, autograd on (also inside ``no_grad`` and ``inference_mode``).

    On leaving, every module's train flag and every parameter's ``requires_grad`` are what they were, also after an
    exception. A callable that is not a module is left alone. Gradients of norms are right on the CPU too
    (`right_norm_gradients`), and nothing is checkpointed or compiled (`plain_forward`).
    """
    module = model if isinstance(model, nn.Module) else nn.Module()
    modules = list(module.modules())
    training = [(m, m.training) for m in modules]
    trainable = {p for m in modules for p in m._parameters.values() if p is not None and p.requires_grad}
    _depth.count = getattr(_depth, "count", 0) + 1
    try:
        if any(flag for _, flag in training):
            module.eval()
        for parameter in trainable:
            parameter.requires_grad_(False)
        with torch.inference_mode(False), torch.enable_grad(), right_norm_gradients(module), plain_forward(module):
            yield
    finally:
        _depth.count -= 1
        for parameter in trainable:
            parameter.requires_grad_(True)
        for m, flag in training:
            if m.training is not flag:
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
    for parameter in parameters:
        parameter.grad = None  # else it would move along with its parameter
    try:
        with frozen(module), kept_randomness():
            yield
    finally:
        if len(devices) == 1:
            module.to(devices.pop())
        for parameter, gradient in zip(module.parameters(), gradients):
            parameter.grad = gradient


@contextmanager
def kept_randomness(device: torch.device | None = None) -> Iterator[None]:
    """On leaving, the global random states are what they were: of Python, NumPy, torch's CPU, and of `device`."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 - the global one is what is kept
    devices = [device] if device is not None and device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
