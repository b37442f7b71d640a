"""What a large store costs: memory while it is made, time to open it and to look something up, and time beside compute.

Generated images are explained by gradient saliency (maps of 64 x 64) with the shipped CNN, in a process for each number
of images; then a few by CoIBA with the shipped ViT, where reading, sharding and writing are compared with the time that
the model computes.

    python benchmarks/store_scale.py [--images 20000] [--few 2000] [--coiba 96]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from functools import wraps
from pathlib import Path

import numpy as np
from PIL import Image

from lit_coiba.attribution import CoIBA, Saliency
from lit_coiba.backbones import Backbone
from lit_coiba.core.method import AttributionMethod
from lit_coiba.data import SyntheticParts
from lit_coiba.data.blocks import BlockDataset, BlockSampler
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.module import BlockDataModule
from lit_coiba.modules.explainer import Explainer
from lit_coiba.resources import resource
from lit_coiba.store import ExplanationStore
from lit_coiba.store.writer import StoreWriter
from lit_coiba.trainer import Trainer

LOOKUPS = 500
COMMON = {"num_classes": 20, "image_size": 64, "mean": (0.5,) * 3, "std": (0.5,) * 3, "crop_pct": 1.0}
MODELS = {
    "cnn": ("resnet18", {"channels": [32, 48, 96, 160], "avg_down": True}),
    "vit": ("vit_tiny_patch16_224", {"patch_size": 8, "embed_dim": 128, "depth": 6, "num_heads": 4}),
}


class Pictures(ImageDataset):
    """Coloured cells, another picture for every number; none is kept."""

    def __init__(self, count: int) -> None:
        self.ids = [f"generated/{number // 1000:03d}/{number:06d}.png" for number in range(count)]
        self.labels = [-1] * count
        self.classes: list[str] = []

    def image(self, index: int) -> Image.Image:
        """Eight by eight cells, enlarged."""
        cells = np.random.default_rng(index).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        return Image.fromarray(cells).resize((64, 64), Image.Resampling.BICUBIC)


class Generated(BlockDataModule):
    """As many of them as one likes."""

    def __init__(self, count: int) -> None:
        super().__init__(batch_size=8, num_workers=0)
        self.pictures = Pictures(count)

    def dataset(self, split) -> ImageDataset:
        """The same for every split."""
        return self.pictures


class Clock:
    """Seconds spent in some functions, all calls together."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def watch(self, owner: type, name: str, what: str) -> None:
        """Count the seconds of a method of a class."""
        real = getattr(owner, name)
        self.seconds[what] = 0.0

        @wraps(real)
        def timed(*arguments, **more):
            began = time.perf_counter()
            try:
                return real(*arguments, **more)
            finally:
                self.seconds[what] += time.perf_counter() - began

        setattr(owner, name, timed)


def explain(model: str, method: str, data: BlockDataModule, folder: Path) -> dict[str, float]:
    """Explain a dataset; seconds of each kind of work and of all, and the peak memory in MB."""
    name, arguments = MODELS[model]
    weights = str(resource(f"checkpoints/synthetic_parts_{model}.safetensors"))
    backbone = Backbone(name, checkpoint=weights, timm_kwargs=arguments, **COMMON)
    trainer = Trainer(accelerator="cpu", devices=1, logger=False, enable_progress_bar=False)
    chosen: AttributionMethod = Saliency()
    if method == "coiba":
        trainer.statistics(Explainer(backbone, CoIBA()), data, f"{folder}.safetensors")
        chosen = CoIBA(statistics=f"{folder}.safetensors")
    clock = Clock()
    clock.watch(Explainer, "predict_step", "compute")
    clock.watch(BlockDataset, "__getitem__", "reading")
    clock.watch(BlockSampler, "__init__", "sharding")
    clock.watch(ExplanationStore, "missing", "sharding by what is missing")
    clock.watch(StoreWriter, "write_on_batch_end", "writing")
    clock.watch(ExplanationStore, "compact", "compaction")
    began = time.perf_counter()
    trainer.explain(Explainer(backbone, chosen), data, str(folder))
    return {**clock.seconds, "all": time.perf_counter() - began, "peak": peak_memory()}


def peak_memory() -> float:
    """Most memory this process has held, in MB; since it began to run this program."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def measured(kind: str, images: int, folder: Path) -> dict[str, float]:
    """What `explain` measures, in a process of its own."""
    words = [sys.executable, __file__, "--one", kind, "--images", str(images), "--folder", str(folder)]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def looked_up(folder: Path) -> tuple[float, float, float]:
    """Seconds to open a store and know its ids; median and longest of some look-ups in random order."""
    began = time.perf_counter()
    store = ExplanationStore(folder)
    ids = store.ids()
    opened = time.perf_counter() - began
    times = []
    for sample in random.Random(0).sample(ids, min(LOOKUPS, len(ids))):
        began = time.perf_counter()
        assert store[sample].map.max() >= 0
        times.append(time.perf_counter() - began)
    return opened, statistics.median(times), max(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--few", type=int, default=2_000)
    parser.add_argument("--coiba", type=int, default=96, help="images explained by CoIBA")
    parser.add_argument("--one", choices=["saliency", "coiba"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        if given.one == "saliency":
            found = explain("cnn", "saliency", Generated(given.images), given.folder)
        else:
            found = explain("vit", "coiba", SyntheticParts(num_workers=0, limit=given.images), given.folder)
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory() as scratch:
        peaks = []
        print("images   minutes  peak MB  files  MB on disk  open ms  look-up ms (median, longest)", flush=True)
        for images in (given.few, given.images):
            folder = Path(scratch) / str(images)
            found = measured("saliency", images, folder)
            files = list((folder / "blocks").iterdir())
            size = sum(file.stat().st_size for file in files) / 2**20
            opened, median, longest = (1000 * seconds for seconds in looked_up(folder))
            peaks.append(found["peak"])
            print(
                f"{images:<8} {found['all'] / 60:>7.1f}  {found['peak']:>7.0f}  {len(files):>5}  {size:>10.0f}"
                f"  {opened:>7.0f}  {median:>10.2f}, {longest:.2f}",
                flush=True,
            )
        print(f"peak memory: {peaks[1] / peaks[0] - 1:+.1%}")
        found = measured("coiba", given.coiba, Path(scratch) / "coiba")
        compute, parts = found.pop("compute"), {name: found[name] for name in found if name not in ("all", "peak")}
        told = ", ".join(f"{name} {seconds:.2f}" for name, seconds in parts.items())
        print(
            f"CoIBA on the ViT, {given.coiba} images: {compute:.1f} s of compute; {told} s: "
            f"{sum(parts.values()) / compute:.1%} of it; {found['all']:.0f} s with pictures and logs"
        )


if __name__ == "__main__":
    main()
