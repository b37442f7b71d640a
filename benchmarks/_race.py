"""Two ways to the same scores take turns: how far apart they are, and which costs less at equal forwards."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn

CLOCKS: dict[str, Callable[[], float]] = {"elapsed": time.perf_counter, "processor": time.process_time}

Side = Callable[[], Tensor]  # one way to make the same scores


@contextmanager
def counted(model: nn.Module) -> Iterator[list[int]]:
    """The sizes of the batches that go through a network's first convolution."""
    first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    seen: list[int] = []
    handle = first.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    try:
        yield seen
    finally:
        handle.remove()


def race(
    title: str, model: nn.Module, theirs: Side, ours: Side, rounds: int, apart: float = math.inf
) -> dict[str, float]:
    """Compare two sides and print it; the ratios theirs / ours by clock, at equal forwards, and the ``gap`` of means.

    Args:
        title: What is compared.
        model: The network.
        theirs: The other side.
        ours: Our side.
        rounds: Number of rounds.
        apart: Most that a score may differ by.
    """
    sides, images, seconds = {"theirs": theirs, "ours": ours}, dict[str, int](), dict[tuple[str, str], list[float]]()
    scores = dict[str, Tensor]()
    for _ in range(rounds):
        for name, side in sides.items():
            with counted(model) as seen:
                began = {clock: now() for clock, now in CLOCKS.items()}
                scores[name] = side()
                for clock, now in CLOCKS.items():
                    seconds.setdefault((name, clock), []).append(now() - began[clock])
            images[name] = sum(seen)
    difference = scores["theirs"].double() - scores["ours"].double()
    most, means = float(difference.abs().max()), float(difference.mean(-1).abs().max())  # one score; what a table shows
    told = f"scores differ by at most {most:.1e}, their means by {means:.1e}"
    print(f"{title}: {told}; images {images['theirs']:,} and {images['ours']:,}")
    assert most <= apart, f"{told}: more than {apart}"
    equal = {"gap": means}
    for clock in CLOCKS:
        pairs = zip(seconds["theirs", clock], seconds["ours", clock])
        ratio = statistics.median(other / own for other, own in pairs)
        equal[clock] = ratio * images["ours"] / images["theirs"]
        told = [statistics.median(seconds[name, clock]) for name in sides]
        said = f"    {clock}: {told[0]:.2f} s and {told[1]:.2f} s, ratio {ratio:.2f}"
        print(f"{said}, at equal forwards {equal[clock]:.2f}", flush=True)
    return equal
