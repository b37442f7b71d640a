"""A model is computed step by step: nothing is recomputed in the backward, or runs as compiled or fused blocks.

Checkpointing saves memory while weights are trained. Nothing is trained while a method runs, and methods that follow
the operations of a forward (AttnLRP, DeepLIFT, Chefer) see each of them twice, or not at all. Compiled code ignores
hooks, and torch's fast path of a transformer's layer does not call the norms and layers inside.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils import checkpoint

_FLAGS = ("grad_checkpointing", "gradient_checkpointing")  # of timm's modules, of Hugging Face's
_GENERATORS = ("_checkpoint_without_reentrant_generator", "_checkpoint_without_reentrant_generator_impl")
_lock = threading.Lock()
_inside = 0  # how many are within `plain_forward`
_kept: dict[str, Any] = {}  # what torch's checkpointing calls, while it is replaced


@contextmanager
def plain_forward(model: nn.Module) -> Iterator[None]:
    """Inside, `model` runs without checkpointing and compilation; on leaving, it is as it was."""
    fast, modules = torch.backends.mha.get_fastpath_enabled(), list(model.modules())
    flags = [(m, name) for m in modules for name in _FLAGS if vars(m).get(name) is True]
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        for module, name in flags:
            setattr(module, name, False)
        with _without_checkpoints(), _uncompiled(modules):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for module, name in flags:
            setattr(module, name, True)


def is_compiled(module: nn.Module) -> bool:
    """Whether ``torch.compile`` has been given the module, or the module has been told to compile itself."""
    return type(module).__name__ == "OptimizedModule" or vars(module).get("_compiled_call_impl") is not None


def _uncompiled(modules: Iterable[nn.Module]) -> AbstractContextManager[Any]:
    if any(map(is_compiled, modules)) and hasattr(torch.compiler, "set_stance"):
        stance: AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
        return stance
    return nullcontext()


@contextmanager
def _without_checkpoints() -> Iterator[None]:
    """Inside, ``torch.utils.checkpoint.checkpoint`` calls its function, under whatever name a model has imported it."""
    global _inside
    with _lock:
        _inside += 1
        if _inside == 1:
            replacements = {"CheckpointFunction": _Called} | dict.fromkeys(_GENERATORS, _nothing_around)
            _kept.update({name: getattr(checkpoint, name) for name in replacements if hasattr(checkpoint, name)})
            vars(checkpoint).update({name: replacements[name] for name in _kept})
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                vars(checkpoint).update(_kept)


class _Called:
    """In the place of torch's ``CheckpointFunction``."""

    @staticmethod
    def apply(function: Any, preserve_rng_state: bool, *args: Any) -> Any:
        return function(*args)


def _nothing_around(*args: Any, **kwargs: Any) -> Iterator[None]:
    """In the place of the generator that torch runs before and behind the function."""
    yield
