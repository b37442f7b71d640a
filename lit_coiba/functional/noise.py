"""Random numbers that depend on what they are for, and on nothing else."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor


def noise(seed: int, step: int, layer: int, shape: Sequence[int]) -> Tensor:
    """Standard normal numbers of `shape`, fp32 on the CPU: a function of these four arguments only.

    The global generator is neither read nor moved, so a map does not depend on batch companions, on the number of
    processes, or on where a run resumed.

    Example:
        >>> torch.equal(noise(0, 1, 2, (3, 4)), noise(0, 1, 2, (3, 4)))
        True
    """
    digest = hashlib.blake2b(f"{seed}/{step}/{layer}".encode(), digest_size=8).digest()
    generator = torch.Generator("cpu").manual_seed(int.from_bytes(digest, "little"))
    return torch.randn(tuple(shape), generator=generator, dtype=torch.float32, device="cpu")


def uniform(normal: Tensor) -> Tensor:
    """Standard normal numbers as uniform ones in [0, 1], in their order.

    Example:
        >>> uniform(torch.tensor([-torch.inf, 0.0, torch.inf]))
        tensor([0.0000, 0.5000, 1.0000])
    """
    return 0.5 * (1 + (normal / 2**0.5).erf())


def antithetic_noise(seed: int, step: int, layer: int, shape: Sequence[int]) -> Tensor:
    """`noise` in pairs of opposite sign along the first axis: the mean over an even number of copies is zero."""
    half = noise(seed, step, layer, ((shape[0] + 1) // 2, *shape[1:]))
    return torch.cat([half, -half])[: shape[0]]
