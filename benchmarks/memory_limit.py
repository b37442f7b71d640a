"""A map under a limit of memory that its first pieces do not fit into, beside the map without.

    python benchmarks/memory_limit.py

The address space of a process is limited to what it has plus some hundred megabytes; a method then starts with more
copies at once than fit, halves them until they do, and says so once.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import warnings

from lit_coiba.attribution import NIB, RISE, IntegratedGradients, Sobol
from lit_coiba.core.method import AttributionMethod
from lit_coiba.data.transforms import Transform
from lit_coiba.demo.photographs import efficientnet_lite0, photograph

MEGABYTES = 300
START = 128  # copies at once, which need more


def methods(chunk: int) -> list[AttributionMethod]:
    """Methods of many copies that start with so many at once."""
    return [
        RISE(n_samples=128, chunk=chunk),
        Sobol(grid_size=4, n_samples=8, chunk=chunk),
        IntegratedGradients(steps=32, chunk=chunk),
        NIB(steps=128, layer="blocks.3.0", chunk=chunk),
    ]


def limited(number: int) -> None:
    """One method without the limit and under it."""
    model = efficientnet_lite0().eval()
    images = Transform(model.preprocessing)(photograph("chelsea")).unsqueeze(0)
    expected = methods(16)[number].attribute(model, images)
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEGABYTES * 2**20,) * 2)
    method = methods(START)[number]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = method.attribute(model, images)
    difference = ((found - expected).abs().max() / expected.abs().max()).item()
    count = sum("memory ran out" in str(one.message) for one in told)
    print(f"| {type(method).__name__} | {difference:.1e} | {count} | {method._evaluator.at_once(images)} |")  # type: ignore[attr-defined]


def main() -> None:
    """A process for each method: what torch keeps for one is not taken from the next."""
    if len(sys.argv) > 1:
        limited(int(sys.argv[1]))
        return
    print(f"| method, {START} copies at once, {MEGABYTES} MB more memory | largest difference | warnings | ends with |")
    print("|---|--:|--:|--:|", flush=True)
    for number in range(len(methods(START))):
        subprocess.run([sys.executable, __file__, str(number)], check=True)


if __name__ == "__main__":
    main()
