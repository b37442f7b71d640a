"""Half precision ends where numbers are summed up or handed out."""

import torch
from torch import Tensor


def precise(values: Tensor) -> Tensor:
    """Values in fp32 at least.

    Example:
        >>> precise(torch.ones(1, dtype=torch.bfloat16)).dtype, precise(torch.ones(1, dtype=torch.float64)).dtype
        (torch.float32, torch.float64)
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))
