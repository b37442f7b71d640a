"""How long commands take before they do anything, beside Python itself and the libraries that all of them need.

    python benchmarks/start_up.py [REPEATS]

The least of several repeats, in turn; processor time is what counts on a machine that does other things too.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from resource import RUSAGE_CHILDREN, getrusage

_MODEL = "--model.backbone.name resnet10t --model.backbone.image_size 32 --model.backbone.num_classes 3"
_RUN = "--limit 1 --data.num_workers 0 --trainer.accelerator cpu --trainer.enable_progress_bar false --store store"
COMMANDS = {
    "python": ["-c", "pass"],
    "import lit_coiba": ["-c", "import lit_coiba"],
    "lit-coiba --help": ["-m", "lit_coiba", "--help"],
    "lit-coiba methods": ["-m", "lit_coiba", "methods"],
    "lit-coiba explain --help": ["-m", "lit_coiba", "explain", "--help"],
    "import torch": ["-c", "import torch"],
    "import torch, timm, lightning": ["-c", "import torch, timm, lightning"],
    "lit-coiba explain": [
        *("-m", "lit_coiba", "explain", "--data", "SyntheticParts", "--model.method", "Saliency"),
        *f"{_MODEL} {_RUN}".split(),
    ],
}


def measure(words: list[str]) -> tuple[float, float]:
    """Seconds of processor and of the clock that Python takes for a command, in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        before, start = getrusage(RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([sys.executable, *words], cwd=folder, check=True, capture_output=True)
        seconds, after = time.perf_counter() - start, getrusage(RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, seconds


def main(repeats: int = 3) -> None:
    """Measure and print."""
    rounds = [{name: measure(words) for name, words in COMMANDS.items()} for _ in range(repeats)]
    least = {name: [min(times) for times in zip(*(one[name] for one in rounds))] for name in COMMANDS}
    torch = least["import torch"][0]
    for name, (processor, clock) in least.items():
        print(f"{name:<32}{processor:7.3f} s of processor, {clock:7.3f} s, {processor / torch:5.2f} times import torch")
    ratio = least["lit-coiba explain"][0] / least["import torch, timm, lightning"][0]
    print(f"lit-coiba explain on one image, times those imports: {ratio:.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
