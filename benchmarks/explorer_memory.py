"""Time and memory of building a site of many classes, on made-up runs; each build is a process of its own.

python -m benchmarks.explorer_memory FOLDER [CLASSES ...] [--images 20]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

RUNS = ("concepts", "Saliency", "InputXGradient", "table", "prototypes", "visualizations")
BUILD = """
import json, resource, sys, time
from lit_coiba.explorer import build
start = time.perf_counter()
built = build(sys.argv[2:], sys.argv[1])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
seconds = time.perf_counter() - start
print(json.dumps({"classes": built.classes, "made": len(built.made), "seconds": seconds, "MB": peak}))
"""


def measured(site: Path, runs: list[Path]) -> dict[str, float]:
    """Classes, parts that were made, seconds and megabytes at the peak, of one build in a process of its own."""
    command = [sys.executable, "-c", BUILD, str(site), *map(str, runs)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def made_up(folder: Path, classes: int, images: int) -> list[Path]:
    """Runs of every kind of a world of that size, made once."""
    from tests._testers.explorer_runs import World, write_runs

    if not (folder / "done").exists():
        write_runs(folder, World(classes, images, units=64))
        (folder / "done").touch()
    return [folder / name for name in RUNS]


def main() -> None:
    """Build each site twice: the second build repeats nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("classes", type=int, nargs="*", default=[100, 1000])
    parser.add_argument("--images", type=int, default=20)
    told = parser.parse_args()
    for classes in told.classes:
        runs = made_up(told.folder / f"runs-{classes}", classes, told.images)
        site = told.folder / f"site-{classes}"
        for which in ("first", "again"):
            found = measured(site, runs)
            size = sum(file.stat().st_size for file in site.rglob("*") if file.is_file()) / 2**20
            largest = max(file.stat().st_size for file in site.rglob("*.html")) / 1024
            print(
                f"{classes:>6} classes, {which}: {found['seconds']:.1f} s, {found['MB']:.0f} MB at the peak,"
                f" {found['made']:.0f} parts made, site {size:.1f} MB, largest page {largest:.0f} kB",
                flush=True,
            )


if __name__ == "__main__":
    main()
