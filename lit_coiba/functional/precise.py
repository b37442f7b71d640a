"""Half precision ends where numbers are summed up or handed out."""

import torch
from torch import Tensor


def working_dtype(values: Tensor) -> torch.dtype:
    """The type that results for `values` have: theirs, fp32 at least.

    Example:
        >>> working_dtype(torch.ones(1, dtype=torch.float16)), working_dtype(torch.ones(1, dtype=torch.float64))
        (torch.float32, torch.float64)
    """
    return torch.promote_types(values.dtype, torch.float32)


def precise(values: Tensor) -> Tensor:
    """Values in fp32 at least.

    Example:
        >>> precise(torch.ones(1, dtype=torch.bfloat16)).dtype, precise(torch.ones(1, dtype=torch.float64)).dtype
        (torch.float32, torch.float64)
    """
    return values.to(working_dtype(values))


def fp64_where_possible(values: Tensor) -> Tensor:
    """Values in fp64, and in fp32 on a device that has no fp64 (MPS).

    Example:
        >>> fp64_where_possible(torch.ones(1, dtype=torch.bfloat16)).dtype
        torch.float64
    """
    return values.float() if values.device.type == "mps" else values.double()
