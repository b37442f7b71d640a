"""What `explain` adds to the loop that anyone would write, and whether its memory grows with the dataset.

    python -m benchmarks.explain_loop [--images 128] [--rounds 5] [--parts] [--memory]

Both sides read the same pictures by the same loader, whose own time is taken off both; the time of a run over one batch
is taken off too, which leaves out the start. On a machine that others use too, whole runs differ by more than what is
added; with --parts clocks within a run say what each part of that takes. Every peak of memory is that of a process of
its own.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image

from benchmarks._models import efficientnet_lite0
from benchmarks.benchmark_memory import peak_memory
from lit_coiba.attribution.presets import method_named
from lit_coiba.callbacks import RunLog
from lit_coiba.data import BlockDataModule, ImageDataset
from lit_coiba.modules.explainer import Explainer
from lit_coiba.store import ExplanationStore
from lit_coiba.trainer import Trainer

METHODS = ("grad_cam", "saliency")
BATCH = 8


class Noise(ImageDataset):
    """Pictures of colored noise, drawn when they are asked for."""

    def __init__(self, count: int) -> None:
        self.ids = [f"{number:06d}" for number in range(count)]
        self.labels = [-1] * count
        self.classes = []

    def image(self, index: int) -> Image.Image:
        """One picture."""
        return Image.fromarray(np.random.default_rng(index).integers(0, 256, (224, 224, 3), dtype=np.uint8))


class NoiseImages(BlockDataModule):
    """Blocks of noise."""

    def __init__(self, count: int) -> None:
        super().__init__(BATCH, 0)
        self.count = count

    def dataset(self, split: str) -> Noise:
        """The same for all splits."""
        return Noise(self.count)


def explained(model: Explainer, count: int) -> None:
    """`explain`, without pictures."""
    trainer = Trainer(accelerator="cpu", devices=1, logger=False, enable_progress_bar=False)
    with tempfile.TemporaryDirectory() as folder:
        trainer.explain(model, NoiseImages(count), str(Path(folder) / "store"), pictures=False)


def looped(model: Explainer, count: int, attributes: bool = True) -> None:
    """The bare loop, or its loader alone."""
    data = NoiseImages(count)
    data.preprocessing = model.preprocessing
    data.setup("predict")
    for batch in data.predict_dataloader():
        if attributes:
            model.method.attribute(model.network, model.network.ordered(batch.images))


def seconds(work: Callable[[int], None], images: int) -> float:
    """Processor time for all images but the first batch."""
    taken = []
    for count in (BATCH, images):
        began = time.process_time()
        work(count)
        taken.append(time.process_time() - began)
    return taken[1] - taken[0]


def compare(name: str, images: int, rounds: int) -> None:
    """Print what an image costs by both, and the ratio."""
    model, found = Explainer(efficientnet_lite0(), method_named(name)), []
    for number in range(rounds + 1):
        ways = (
            lambda count: explained(model, count),
            lambda count: looped(model, count),
            lambda count: looped(model, count, attributes=False),
        )
        run, loop, loader = (seconds(way, images if number else 2 * BATCH) for way in ways)
        found.append(((run - loader) / images, (loop - loader) / images))
    ratio = statistics.median(run / loop for run, loop in found[1:])
    own, bare = (statistics.median(times) * 1000 for times in zip(*found[1:]))
    print(f"| {name} | {bare:.1f} ms | {own:.1f} ms | {ratio:.3f} |", flush=True)


PARTS = {  # what `explain` does beside loading and the method itself
    "writing blocks": (ExplanationStore, "write"),
    "the log": (RunLog, "on_predict_batch_end"),
    "putting blocks together": (ExplanationStore, "compact"),
}


def parts(name: str, images: int) -> None:
    """Print what each part of a run takes for an image, in processor time, and as a share of the method's own."""
    model, seconds, pieces = Explainer(efficientnet_lite0(), method_named(name)), Counter[str](), ExitStack()
    method = type(model.method)
    watched = {"the step": (Explainer, "predict_step"), **PARTS}
    watched |= {f"method{number}": (method, part) for number, part in enumerate(("_start", "_explain_started"))}

    def watch(what: str, real: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(real)  # Lightning looks at what a step takes
        def timed(*arguments: Any, **more: Any) -> Any:
            began = time.process_time()
            try:
                return real(*arguments, **more)
            finally:
                seconds[what] += time.process_time() - began

        return timed

    found = []
    with pieces:
        for what, (owner, part) in watched.items():
            pieces.enter_context(mock.patch.object(owner, part, watch(what, getattr(owner, part))))
        for count in (BATCH, BATCH, images + BATCH):  # the first warms up
            seconds.clear()
            explained(model, count)
            found.append(Counter(seconds))
    each = {what: (found[2][what] - found[1][what]) / images * 1000 for what in watched}
    own = each.pop("method0") + each.pop("method1")
    each["the step, around the method"] = each.pop("the step") - own
    told = ", ".join(f"{what} {taken:.2f} ({taken / own:.1%})" for what, taken in each.items())
    print(f"{name}, ms for an image: the method {own:.1f}; {told}; together {sum(each.values()) / own:.1%}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--parts", action="store_true", help="what each part of a run takes instead")
    parser.add_argument("--memory", action="store_true", help="peaks over 200 and 2,000 images instead")
    parser.add_argument("--peak", nargs=2, metavar=("METHOD", "IMAGES"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    if given.peak:
        explained(Explainer(efficientnet_lite0(), method_named(given.peak[0])), int(given.peak[1]))
        print(peak_memory())
        return
    if given.parts:
        for name in METHODS:
            parts(name, given.images)
        return
    if given.memory:
        print("| method | peak over 200 | over 2,000 | ratio |\n|---|--:|--:|--:|")
        for name in METHODS:
            words = [sys.executable, "-m", "benchmarks.explain_loop", "--peak", name]
            done = [
                subprocess.run([*words, count], check=True, capture_output=True, text=True) for count in ("200", "2000")
            ]
            few, many = (float(one.stdout.split()[-1]) for one in done)
            print(f"| {name} | {few:.0f} MB | {many:.0f} MB | {many / few:.3f} |", flush=True)
        return
    print("| method | bare loop | explain | ratio |\n|---|--:|--:|--:|")
    for name in METHODS:
        compare(name, given.images, given.rounds)


if __name__ == "__main__":
    main()
