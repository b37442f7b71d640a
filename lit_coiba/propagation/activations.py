"""Which modules and functions treat every number alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from lit_coiba.core.errors import InputError

_TORCH = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus),
    *(nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Hardshrink, nn.Softshrink, nn.Threshold),
    *(nn.Sigmoid, nn.LogSigmoid, nn.Tanh, nn.Tanhshrink, nn.Softsign),
)
# Names of the functions, without underscores around them; those of GATES are between 0 and 1.
FUNCTIONS = {
    *("relu", "relu6", "leaky_relu", "prelu", "rrelu", "threshold", "elu", "celu", "selu", "gelu", "silu", "mish"),
    *("softplus", "softsign", "tanh", "tanhshrink", "hardtanh", "hardswish", "hardshrink", "softshrink", "logsigmoid"),
    *("clamp", "clip", "clamp_min", "clamp_max", "pow", "square"),
}
GATES = {"sigmoid", "hardsigmoid"}
_TIMM = "timm.layers.activations"  # the modules in which all of timm's own activations stand


def elementwise(module: nn.Module) -> bool:
    """Whether a module is an activation, of torch or of timm, that treats every number alike."""
    return isinstance(module, _TORCH) or type(module).__module__.startswith(_TIMM)


@contextmanager
def out_of_place(model: nn.Module) -> Iterator[None]:
    """Activations leave their inputs alone; on leaving, those that wrote into them do so again."""
    working = [m for m in model.modules() if elementwise(m) and getattr(m, "inplace", None) is True]
    try:
        for module in working:
            module.inplace = False  # type: ignore[assignment]
        yield
    finally:
        for module in working:
            module.inplace = True  # type: ignore[assignment]


def check_out_of_place(method: str, apart: Tensor, logits: Tensor) -> None:
    """The logits `apart`, computed inside `out_of_place`, are those of the model.

    The bound lies between rounding, which even in bf16 is some hundredths of the largest logit, and what a model does
    whose values are not those that it should read.

    Raises:
        InputError: They differ by more than a tenth of the largest one.
    """
    if (apart - logits).abs().max() > 0.1 * logits.abs().max():
        raise InputError(
            f"{method} computes activations apart from their inputs, and this model has one that writes in place into a"
            " tensor that is used again: build it with inplace=False, or take InputXGradient or RISE"
        )
