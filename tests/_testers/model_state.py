"""Everything of a model that has to stay as it is, and ways to disturb it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from lit_coiba.backbones import Backbone

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks", "_state_dict_hooks")


class Bomb:
    """The forward of a layer, which fails in call number `fuse`."""

    def __init__(self, layer: nn.Module) -> None:
        self.forward, self.calls, self.fuse = layer.forward, 0, None

    def __call__(self, *args: Any) -> torch.Tensor:
        self.calls += 1
        if self.calls == self.fuse:
            raise RuntimeError("the model failed")
        return self.forward(*args)


def disturb(model: Backbone) -> None:
    """What a caller may have done: mixed train flags, frozen weights, gradients, hooks, one plain attention."""
    modules = list(model.modules())
    model.train()
    for module in modules[::3]:
        module.training = False
    parameters = list(model.parameters())
    for parameter in parameters[::2]:
        parameter.requires_grad_(False)
    for parameter in parameters[1::4]:
        parameter.grad = torch.ones_like(parameter)
    modules[-2].register_forward_hook(lambda module, args, output: None)
    modules[-1].register_forward_pre_hook(lambda module, args: None)
    fused = [module for module in modules if hasattr(module, "fused_attn")]
    for module in fused[::2]:
        module.fused_attn = not module.fused_attn


def state(model: Backbone) -> dict[str, Any]:
    """Everything of a model, and of torch, that explaining has to leave as it is."""
    modules = dict(model.named_modules())
    return {
        "parameters": {name: p.detach().clone() for name, p in model.named_parameters()},
        "buffers": {name: b.clone() for name, b in model.named_buffers()},
        "gradients": {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()},
        "requires_grad": {name: p.requires_grad for name, p in model.named_parameters()},
        "training": {name: m.training for name, m in modules.items()},
        "hooks": {name: [list(getattr(m, kind)) for kind in HOOKS] for name, m in modules.items()},
        "attributes": {name: sorted(m.__dict__) for name, m in modules.items()},
        "fused attention": {name: getattr(m, "fused_attn", None) for name, m in modules.items()},
        "random state": torch.get_rng_state(),
        "modes": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")),
    }


def assert_same_state(after: dict[str, Any], before: dict[str, Any]) -> None:
    for part, expected in before.items():
        assert same(after[part], expected), f"{part} of the model changed"


def same(first: Any, second: Any) -> bool:
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    return torch.equal(first, second) if isinstance(first, torch.Tensor) else first == second


def assert_near(found: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    """Equal up to `tolerance`, relative to the largest value."""
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()
