"""Whether the memory of a benchmark grows with the dataset: its peak over few and over many samples of SyntheticParts.

    python -m benchmarks.benchmark_memory [--few 200] [--many 2000]

Two stores (gradient saliency, Grad-CAM) of the shipped CNN and the rows that every table has are scored by cheap
metrics, a curve and three that need no forward. Each benchmark is a process of its own, apart from the explanations, so
that nothing of one is in the peak of another. What has to grow is little: the samples that SyntheticParts keeps once
they are drawn (29 kB each), and the scores, a number for each row, metric and sample.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

from benchmarks._models import synthetic_parts_cnn
from lit_coiba.attribution.presets import method_named
from lit_coiba.data import SyntheticParts
from lit_coiba.metrics import Deletion, EnergyPointing, Entropy, Metric, PointingGame
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.scorer import Scorer
from lit_coiba.trainer import Trainer

METHODS = ("saliency", "grad_cam")
MOST = 0.10  # share by which the peak may grow


def metrics() -> dict[str, Metric]:
    """What is measured."""
    return {
        "deletion": Deletion(grid_size=8, steps=2),
        "energy": EnergyPointing(),
        "pointing": PointingGame(),
        "entropy": Entropy(),
    }


def work(step: str, samples: int, folder: Path) -> None:
    """One step in this process: ``explain`` by all methods, or ``benchmark``."""
    warnings.simplefilter("ignore")
    model = synthetic_parts_cnn()
    data = SyntheticParts(split="train", num_workers=0, limit=samples, limit_order="first")
    trainer = Trainer(accelerator="cpu", devices=1, logger=False, enable_progress_bar=False)
    stores = [str(folder / name) for name in METHODS]
    if step == "explain":
        for name, store in zip(METHODS, stores):
            trainer.explain(Explainer(model, method_named(name)), data, store, pictures=False)
        return
    board = trainer.benchmark(Scorer(model, metrics()), data, stores, str(folder / "scores"), pictures=False)
    assert {len(values) for found in board.scores.values() for values in found.values()} == {samples}


def peak_memory() -> float:
    """Most memory that this process has held since it began to run this program, in MB."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def measured(samples: int, folder: Path) -> tuple[float, float]:
    """Peak memory in MB and seconds of a benchmark over so many samples."""
    words = [sys.executable, "-m", "benchmarks.benchmark_memory", "--samples", str(samples), "--folder", str(folder)]
    subprocess.run([*words, "--step", "explain"], check=True, capture_output=True)
    began = time.perf_counter()
    done = subprocess.run([*words, "--step", "benchmark"], check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.split()[-1]), time.perf_counter() - began


def main() -> None:
    """Print both peaks and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, default=200)
    parser.add_argument("--many", type=int, default=2000)
    parser.add_argument("--step", choices=["explain", "benchmark"], help=argparse.SUPPRESS)
    parser.add_argument("--samples", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        work(given.step, given.samples, given.folder)
        print(f"peak {peak_memory():.1f}")
        return
    peaks = []
    with tempfile.TemporaryDirectory() as scratch:
        for samples in (given.few, given.many):
            peak, seconds = measured(samples, Path(scratch) / str(samples))
            peaks.append(peak)
            print(f"benchmark over {samples:,} samples: peak {peak:.0f} MB, {seconds:.0f} s", flush=True)
    growth = peaks[1] / peaks[0] - 1
    print(f"peak memory grows by {growth:+.1%}, at most {MOST:.0%}: {'yes' if growth <= MOST else 'NO'}")


if __name__ == "__main__":
    main()
