"""Which modules treat every number alike."""

from __future__ import annotations

from torch import nn

_TORCH = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus),
    *(nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Hardshrink, nn.Softshrink, nn.Threshold),
    *(nn.Sigmoid, nn.LogSigmoid, nn.Tanh, nn.Tanhshrink, nn.Softsign),
)
_TIMM = "timm.layers.activations"  # the modules in which all of timm's own activations stand


def elementwise(module: nn.Module) -> bool:
    """Whether a module is an activation, of torch or of timm, that treats every number alike."""
    return isinstance(module, _TORCH) or type(module).__module__.startswith(_TIMM)
