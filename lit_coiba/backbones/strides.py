"""A finer grid from the same weights: stages of a CNN that no longer stride.

Gomez et al., BR-NPA, 2021 (arXiv 2106.02566), make the high-resolution student so: no dilation, and every weight stays
what it is. Their optional circular padding is left out: it would be another function of the same weights.
"""

from __future__ import annotations

import re
from typing import Any

from timm.layers import BlurPool2d  # type: ignore[attr-defined]
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from lit_coiba.core.errors import InputError

# timm's names of the stages of a ResNet, of a RegNet, and of an EfficientNet or a MobileNet.
_STAGE = re.compile(r"layer\d+|s\d+|blocks\.\d+")
_FAMILIES = "ResNets, RegNets, EfficientNets and MobileNets"


class DenseAveragePool(nn.Module):
    """Averages of every 2 x 2 window, cut off at the lower and the right border: ``(B, C, h, w)`` stays so.

    At even places it gives what ``AvgPool2d(2, ceil_mode=True, count_include_pad=False)`` does.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Averages ``(B, C, h, w)``."""
        return avg_pool2d(features, 2, stride=1, padding=1, count_include_pad=False)[..., 1:, 1:]


def strided_stages(model: nn.Module) -> list[str]:
    """Names of the stages of `model` that make the grid coarser, in the order of execution; empty if none are known."""
    return list(_strides(model))


def remove_strides(model: nn.Module, stages: int) -> None:
    """Let the last `stages` stages that stride keep their resolution, in place.

    What strided now goes over every place: in a ResNet the 3 x 3 convolution of the stage's first block and the
    convolution or the average of its shortcut. Weights and their names do not change. Where only one stage follows the
    stride, each of these layers gives at every second place what it gave before.

    Args:
        model: A model of timm.
        stages: How many; the grid of the features gets twice as fine with each.

    Raises:
        InputError: There are not so many stages with a stride, or one strides by what cannot do without.
    """
    if stages == 0:
        return
    found, title = _strides(model), type(model).__name__
    if not found:
        why = f"{title} has no known stages with a stride"
        raise InputError(f"unstrided_stages is {stages}, but {why}: it supports {_FAMILIES}")
    if not 0 <= stages <= len(found):
        raise InputError(
            f"unstrided_stages is {stages}, but {title} has {len(found)} stages with a stride ({', '.join(found)}):"
            f" give 0 to {len(found)}"
        )
    chosen = [name for stage in list(found)[-stages:] for name in found[stage]]
    for name in chosen:
        if not _can_be_dense(module := model.get_submodule(name)):
            why = f"{name} of {title} cannot lose its stride ({type(module).__name__})"
            raise InputError(f"unstrided_stages is {stages}, but {why}: give a smaller number")
    for name in chosen:
        _make_dense(model, name)


def _strides(model: nn.Module) -> dict[str, list[str]]:
    """Stage -> names of the layers that stride in it."""
    found: dict[str, list[str]] = {}
    for name, module in model.named_modules():
        stage = _STAGE.match(name)
        layer = isinstance(module, nn.Conv2d | BlurPool2d) or "Pool" in type(module).__name__
        inside = ".attn." in name  # keys and values on a coarser grid: the output is on the finer one
        if stage and layer and not inside and _pair(getattr(module, "stride", 1)) != (1, 1):
            found.setdefault(stage[0], []).append(name)
    return found


def _can_be_dense(module: Any) -> bool:
    """Whether the output has the size of the input once the stride is 1."""
    if isinstance(module, nn.AvgPool2d) and _halves(module):
        return True
    if isinstance(module, BlurPool2d):
        return module.padding == [(module.filt_size - 1) // 2] * 4 and module.filt_size % 2 == 1
    if not isinstance(module, nn.Conv2d | nn.AvgPool2d):
        return False
    kernel, padding = _pair(module.kernel_size), _pair(module.padding)
    same = type(module).__name__ == "Conv2dSame"  # pads as TensorFlow does, by the stride that it has
    dilation = _pair(getattr(module, "dilation", 1))
    return all(k % 2 == 1 and (same or 2 * p == d * (k - 1)) for k, p, d in zip(kernel, padding, dilation))


def _make_dense(model: nn.Module, name: str) -> None:
    parent, _, last = name.rpartition(".")
    module: Any = model.get_submodule(name)
    if isinstance(module, nn.AvgPool2d) and _halves(module):
        setattr(model.get_submodule(parent), last, DenseAveragePool())
    else:
        module.stride = (1, 1) if isinstance(module, nn.Conv2d) else 1


def _halves(pool: nn.AvgPool2d) -> bool:
    """Whether it averages squares of 2 x 2 that do not overlap."""
    return _pair(pool.kernel_size) == _pair(pool.stride) == (2, 2) and _pair(pool.padding) == (0, 0)


def _pair(value: Any) -> tuple[Any, Any]:
    return tuple(value) if isinstance(value, tuple | list) else (value, value)
