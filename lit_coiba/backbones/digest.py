"""Which network it is, as a number: the same on every machine."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


def digest_of(architecture: Any, weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of an architecture, as plain values, and of every weight's name, dtype, shape and bytes."""
    digest = hashlib.sha256(json.dumps(architecture, sort_keys=True, default=str).encode())
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def printed(model: nn.Module) -> str:
    """The modules of a model as they print themselves, without addresses in memory, which no two processes share."""
    return re.sub(r"0x[0-9a-f]+", "", repr(model))
