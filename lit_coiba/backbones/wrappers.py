"""What may be around a network, or in the place of one: compiled, scripted, exported, parallel modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from lit_coiba.core.errors import InputError, class_or_kind
from lit_coiba.core.plain_forward import is_compiled

_PARALLEL = {"DataParallel": "torch.nn.DataParallel", "DistributedDataParallel": "DistributedDataParallel"}
QUANTIZED = "quantized layers"
_QUANTIZED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic", "torch.nn.quantized", "torchao.", "bitsandbytes.")


class Box(nn.Module):
    """A network whose parts cannot be seen: it has logits and weights, no layers, and keeps its mode.

    Args:
        network: Maps images ``(B, 3, H, W)`` to logits.
        kind: What it is, for messages.
        one_by_one: Whether it runs on one image at a time.
    """

    def __init__(self, network: Any, kind: str, one_by_one: bool = False) -> None:
        super().__init__()
        self._network = (network,)  # no submodule: what walks over modules does not enter
        self.one_by_one = one_by_one
        self.title = f"{getattr(network, 'original_name', type(network).__name__)} ({kind})"

    def forward(self, images: Tensor) -> Any:
        """Whatever the network returns."""
        network = self._network[0]
        return torch.cat([network(image[None]) for image in images]) if self.one_by_one else network(images)

    def adapt(self, images: Tensor) -> None:
        """Run image by image if the network takes no batch of two `images`: an export may be for one size of batch."""
        with torch.no_grad():
            try:
                self(images.clone())
            except Exception:  # whatever the guards of an export raise; the reason is told by the next forward
                self.one_by_one = True

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """Those of the network."""
        yield from self._network[0].named_parameters(prefix, recurse)

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Those of the network."""
        yield from self._network[0].named_buffers(prefix, recurse)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """That of the network."""
        return self._network[0].state_dict(*args, **kwargs)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Into the network."""
        return self._network[0].load_state_dict(*args, **kwargs)

    def extra_repr(self) -> str:
        """The network, and what it is."""
        return self.title

    def _apply(self, fn: Any, recurse: bool = True) -> Box:
        self._network[0]._apply(fn)
        return self


def unwrapped(module: Any) -> tuple[nn.Module, tuple[str, ...]]:
    """The network itself, and the names of what was around it.

    Raises:
        InputError: It is no module.
    """
    around: list[str] = []
    while isinstance(module, nn.Module):
        if type(module).__name__ == "OptimizedModule":
            module = module._orig_mod
            around.append("torch.compile (taken off)")
        elif type(module).__name__ in _PARALLEL and isinstance(getattr(module, "module", None), nn.Module):
            around.append(f"{_PARALLEL[type(module).__name__]} (taken off)")
            module = module.module
        else:
            break
    if type(module).__name__ == "ExportedProgram":
        module = module.module()
    if not isinstance(module, nn.Module):
        raise InputError(no_module(module))
    _check_made(module)
    if isinstance(module, torch.jit.ScriptModule):
        return Box(module, "TorchScript"), (*around, "TorchScript")
    if isinstance(module, torch.fx.GraphModule) and "eval" in vars(module):  # an export puts its refusal there
        return Box(module, "torch.export"), (*around, "torch.export")
    if QUANTIZED in (found := inside(module)):  # scales of activations are those of a batch: one image at a time
        return Box(module.eval(), QUANTIZED, one_by_one=True), (*around, *found)
    return module, (*around, *found)


def _check_made(module: nn.Module) -> None:
    """Refuse a module whose weights do not exist yet."""
    weights = [tensor for tensors in (module.parameters(), module.buffers()) for tensor in tensors]
    if any(isinstance(tensor, (UninitializedParameter, UninitializedBuffer)) for tensor in weights):
        raise InputError(
            f"{type(module).__name__} has lazy layers, whose weights are made at the first forward: run it once on a"
            " batch of images, load its weights, then wrap it"
        )
    if any(tensor.is_meta for tensor in weights):
        raise InputError(
            f"{type(module).__name__} is on the device meta, which keeps no numbers: load its weights (to_empty, then"
            " load_state_dict), then wrap it"
        )


def inside(module: nn.Module) -> tuple[str, ...]:
    """Names of what changes how parts of a module run."""
    parts = list(module.modules())
    found = {
        "compiled parts": any(map(is_compiled, parts)),
        "scripted parts": any(isinstance(part, torch.jit.ScriptModule) for part in parts),
        QUANTIZED: any(type(part).__module__.startswith(_QUANTIZED) for part in parts),
        "PEFT adapters": any(type(part).__module__.startswith("peft.") for part in parts),
        "gradient checkpointing (off while a method runs)": any(
            vars(part).get(flag) is True for part in parts for flag in ("grad_checkpointing", "gradient_checkpointing")
        ),
    }
    return tuple(name for name, there in found.items() if there)


def no_module(given: Any) -> str:
    """What is wrong with something that should be a module."""
    if isinstance(given, str):
        return f"Backbone.wrap takes a torch module, not text: for a timm model, Backbone({given[:60]!r}, ...)"
    if isinstance(given, type) and issubclass(given, nn.Module):
        return f"Backbone.wrap is given the class {given.__name__}: give a module of it, {given.__name__}(...)"
    what = f"the function {given.__name__}" if hasattr(given, "__name__") else f"a {type(given).__name__}"
    return f"Backbone.wrap is given {what}: give a torch module from images (B, 3, H, W) to logits (B, K)"


def not_a_name(given: Any) -> str:
    """What is wrong with something that should be the name of a timm model."""
    if isinstance(given, nn.Module):
        return f"Backbone takes the name of a timm model, not a {type(given).__name__}: use Backbone.wrap(model)"
    return f"Backbone takes the name of a timm model, such as Backbone('resnet18'), not {class_or_kind(given)}"
