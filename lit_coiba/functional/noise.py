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
    return _drawn(f"{seed}/{step}/{layer}", shape)


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


def keyed_noise(seed: int, ids: Sequence[str], name: str, shape: Sequence[int]) -> Tensor:
    """Standard normal numbers ``(B, *shape)``, fp32 on the CPU: for each sample a function of seed, id, name and shape.

    A sample's draws do not depend on the other samples, their order, or the process that asks.

    Args:
        seed: Seed of the draws.
        ids: B ids of samples.
        name: What they are for: draws for two purposes are independent.
        shape: Shape of one sample's draws.

    Example:
        >>> one, two = keyed_noise(0, ["a", "b"], "subsets", (3,))
        >>> torch.equal(two, keyed_noise(0, ["b"], "subsets", (3,))[0]), torch.equal(one, two)
        (True, False)
    """
    return torch.stack([_drawn(f"{seed}/{name}/{sample}", shape) for sample in ids])


def keyed_orders(seed: int, sample: str, name: str, orders: int, units: int) -> Tensor:
    """Random orders of units ``(orders, units)``, int64 on the CPU: like `keyed_noise` a function of its arguments.

    Args:
        seed: Seed of the draws.
        sample: Id of the sample.
        name: What they are for.
        orders: Number of orders.
        units: Number of units.

    Example:
        >>> keyed_orders(0, "a", "subsets", 2, 3).sort(-1).values
        tensor([[0, 1, 2],
                [0, 1, 2]])
    """
    generator = _generator(f"{seed}/{name}/{sample}")
    return torch.stack([torch.randperm(units, generator=generator, device="cpu") for _ in range(orders)])


def _drawn(key: str, shape: Sequence[int]) -> Tensor:
    return torch.randn(tuple(shape), generator=_generator(key), dtype=torch.float32, device="cpu")


def _generator(key: str) -> torch.Generator:
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return torch.Generator("cpu").manual_seed(int.from_bytes(digest, "little"))
