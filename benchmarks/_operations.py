"""Where the time of a computation goes, by kind of operation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

REST = "rest"


def times(run: Callable[[], Any], kinds: Mapping[str, Sequence[str]], rounds: int = 1) -> Counter[str]:
    """Milliseconds of the processor that each kind takes in one of `rounds` runs, after one that does not count.

    Args:
        run: What is measured.
        kinds: Kind -> names of torch's operations; of convolutions the kind of the kernel is appended to the name.
        rounds: Number of runs.
    """
    kind_of = {name: kind for kind, names in kinds.items() for name in names}
    run()
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as seen:
        for _ in range(rounds):
            run()
    found = Counter[str]()
    for event in seen.events() or ():
        found[kind_of.get(_named(event), REST)] += event.self_cpu_time_total / 1000 / rounds
    return found


def _named(event: Any) -> str:
    """The name of an operation without its room; of a convolution with the kind of its kernel."""
    name = str(event.name).rpartition("::")[2]
    if name not in ("mkldnn_convolution", "_slow_conv2d_forward"):
        return name
    shape = event.input_shapes[1]
    kind = "depthwise" if shape[1] == 1 else "1x1" if list(shape[2:]) == [1, 1] else "full"
    return f"convolution {kind}"


def single_thread() -> str:
    """One thread, and what that is called above a table."""
    torch.set_num_threads(1)
    return "one thread"
