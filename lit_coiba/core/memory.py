"""How much memory there is, and how much of it a network needs for an image."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lit_coiba.core.frozen import frozen

_LIMITS = (  # of a container: what it may use, and what it does
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
_FEWEST = 16  # times an image that a network needs which autograd does not see
_LEAST = 1 << 28  # bytes: what is left where caches of files, which give way, make a container look full


def available_memory(device: torch.device) -> int | None:
    """Bytes that can still be had on a device; None = nobody says."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    found = [*_of_the_machine(), *_of_the_container()]
    return min(found) if found and device.type == "cpu" else None


def memory_of_an_image(model: Any, size: tuple[int, int]) -> int:
    """Bytes that one image takes in a network's forward and backward, about, from one forward of an empty image.

    Twice what autograd keeps of it, the same on every device: 1.3 to 1.8 times what was measured of six networks on a
    CPU.

    Args:
        model: Maps images ``(B, 3, H, W)`` to logits.
        size: Height and width of the images in pixels.
    """
    weights = [*model.parameters(), *model.buffers()] if isinstance(model, nn.Module) else []
    known = {weight.untyped_storage().data_ptr() for weight in weights}
    like = next((weight for weight in weights if weight.is_floating_point()), torch.empty(0))
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with frozen(model), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        image = torch.zeros(1, 3, *size, dtype=like.dtype, device=like.device)
        output = model(image.requires_grad_())  # kept until all is counted, so that no place in memory is used twice
        del output
    return max(2 * sum(kept.values()), _FEWEST * image.nbytes)


def _of_the_machine() -> list[int]:
    with suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    with suppress(OSError, ValueError, AttributeError):
        return [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2]
    return []


def _of_the_container() -> list[int]:
    found = []
    for limit, used in _LIMITS:
        with suppress(OSError, ValueError):  # no container, or one that says "max"
            room = int(Path(limit).read_text(encoding="ascii")) - int(Path(used).read_text(encoding="ascii"))
            found.append(max(room, _LEAST))
    return found
