"""Which precision a machine is good at, and which ones explaining runs in."""

from __future__ import annotations

from typing import Literal

import torch

from lit_coiba.core.errors import InputError

PRECISIONS = ("32-true", "bf16-mixed")


def automatic_precision(accelerator: object = "auto") -> Literal["bf16-mixed", "32-true"]:
    """``bf16-mixed`` where the device multiplies bf16 matrices in hardware, else ``32-true``.

    Args:
        accelerator: What the Trainer is given: a name (``cpu``, ``gpu``, ``auto``, ...) or one of Lightning's objects.
    """
    name = accelerator if isinstance(accelerator, str) else type(accelerator).__name__.removesuffix("Accelerator")
    if name.lower() in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    if name.lower() in ("auto", "cpu"):
        capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
        return "bf16-mixed" if capabilities.get("amx_bf16") or capabilities.get("avx512_bf16") else "32-true"
    return "32-true"


def check_precision(precision: str) -> None:
    """Refuse a precision that overflows without a scaler, or that changes the model's weights.

    Raises:
        InputError: It does.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision is {precision}, but explain runs in {' or '.join(PRECISIONS)}: set one, or auto")
