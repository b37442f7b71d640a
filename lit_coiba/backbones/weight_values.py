"""Whether numbers from a file can be the weights of a model: of its kind, in memory, and finite."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable

_FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def check_values(weights: Mapping[str, Tensor], own: Mapping[str, Tensor], file: str) -> None:
    """Refuse weights that a cast to the model's dtype would make something else of.

    Args:
        weights: Names and tensors of the file.
        own: Those of the model, which has these names.
        file: The file, for messages.

    Raises:
        InputError: A tensor that is quantized, sparse or without data, of another kind of number, or not finite.
    """
    for name, tensor in weights.items():
        what = f"{file}: {printable(name, 80)}"
        if kind := _unusual(tensor):
            raise InputError(f"{what} is {kind}: save plain tensors, those of the model in floating point")
        mine = own.get(name)
        if mine is None:
            continue
        if mine.is_floating_point() and tensor.dtype not in _FLOATS:
            raise InputError(
                f"{what} is {tensor.dtype}, and the model's is floating point, so its scale is not known (a quantized"
                " file?): give the weights as they were trained"
            )
        if not mine.is_floating_point() and tensor.is_floating_point() and bool((tensor != tensor.round()).any()):
            raise InputError(f"{what} has fractions, and the model counts in {mine.dtype} there: give other weights")
        if tensor.is_complex() != mine.is_complex():
            raise InputError(f"{what} is {tensor.dtype}, and the model's is {mine.dtype}: give other weights")
        if tensor.is_floating_point() and not tensor.isfinite().all() and mine.isfinite().all():
            raise InputError(
                f"{what} has {int((~tensor.isfinite()).sum()):,} values that are not finite, so the model would"
                " predict nothing: give a checkpoint from before the training diverged"
            )


def _unusual(tensor: Tensor) -> str:
    """What a tensor is that is no plain one; empty if it is one."""
    if tensor.is_quantized:
        return "quantized"
    if tensor.is_nested:
        return "nested"
    if tensor.layout != torch.strided:
        return f"sparse ({tensor.layout})"
    return "without data" if tensor.is_meta else ""
