"""Feature visualization: what a batch saves, and MACO beside the Fourier baseline on EfficientNet-Lite0.

    OMP_NUM_THREADS=1 python -m benchmarks.feature_visualization ratio [--targets 16] [--steps 4] [--rounds 3]
    OMP_NUM_THREADS=1 python -m benchmarks.feature_visualization imagenet [--classes 25 75 ...] [--steps 48] ...

``ratio`` optimizes images for many classes in one batch and one at a time, interleaved, and prints by how much the
single runs take longer, and the largest difference of the images. ``imagenet`` needs the project's
assets (LIT_COIBA_ASSETS): MACO visualizes every fiftieth class of ImageNet by `Trainer.visualize`, the baseline some of
these, and every image is compared with the natural images that have the largest logit of its class. It prints a table
and writes a picture; the same command again goes on where it stopped.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from lit_coiba.backbones import Backbone
from lit_coiba.data import ImageFolder
from lit_coiba.feature_visualization import MACO, FourierBaseline, VisualizationRun
from lit_coiba.modules.visualization import VisualizationModule
from lit_coiba.pictures.visualization_grid import Panels, panel_grid
from lit_coiba.resources import resource
from lit_coiba.trainer import Trainer
from lit_coiba.trainer.visualization_pages import pixels_of

CLASSES = tuple(range(25, 1000, 50))
COLORS = 256


def seconds_and_images(maco: MACO, model: Backbone, parts: list[list[int]]) -> tuple[float, Tensor]:
    start = time.perf_counter()
    found = [maco.visualize(model, part).images for part in parts]
    return time.perf_counter() - start, torch.cat(found)


def ratio(given: argparse.Namespace) -> None:
    model = Backbone.load(resource("checkpoints/synthetic_parts_cnn.safetensors")).eval()
    maco = MACO(steps=given.steps, canvas=given.canvas, crops=given.crops, progress=False)
    classes = [number % model.num_classes for number in range(given.targets)]
    ways = [[classes], [[one] for one in classes]]
    for way in ways:
        seconds_and_images(maco, model, way)  # warm
    rounds = [[seconds_and_images(maco, model, way) for way in ways] for _ in range(given.rounds)]
    batch, single = (statistics.median(one[way][0] for one in rounds) for way in (0, 1))
    apart = float((rounds[-1][0][1] - rounds[-1][1][1]).abs().max())
    print(f"{given.targets} targets, {given.steps} steps of {given.crops} crops, canvas {given.canvas}")
    print(f"in one batch {batch:.2f} s, one at a time {single:.2f} s: {single / batch:.2f} times as long")
    print(f"largest difference of a pixel {apart:.1e}")


def imagenet(given: argparse.Namespace) -> None:
    assets = Path(os.environ.get("LIT_COIBA_ASSETS", "../shared/assets"))
    weights = str(assets / "models" / "tf_efficientnet_lite0.fp16.safetensors")
    model = Backbone("tf_efficientnet_lite0", weights, image_size=given.size).eval()
    sizes = {"steps": given.steps, "canvas": given.canvas, "crops": given.crops, "crop_side": given.crop_side}
    methods = {"MACO": MACO(**sizes, lr=given.lr), "Fourier": FourierBaseline(**sizes)}
    runs = {}
    for name, method in methods.items():
        trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_model_summary=False)
        natural = ImageFolder(str(assets / "imagenet-samples" / "images")) if name == "MACO" else None
        classes = [str(number) for number in (given.classes if name == "MACO" else given.baseline)]
        start = time.perf_counter()
        module = VisualizationModule(model, method)
        runs[name] = trainer.visualize(module, str(given.output / name), natural, classes, batch_size=given.batch)
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    print(table(**runs))
    print(grid(runs, given.picture, f"tf_efficientnet_lite0: {given.steps} steps, {given.crops} crops"))


def table(MACO: VisualizationRun, Fourier: VisualizationRun) -> str:
    """Held-out logits as Markdown, class by class; and means over the classes that both methods have."""
    lines = ["| class | best photograph | MACO | Fourier | MACO: plausibility |", "|---|--:|--:|--:|--:|"]
    for item in MACO.items:
        other = f"{Fourier[item.key].held_out:.1f}" if item.key in Fourier else ""
        values = f"{item.held_out_real:.1f} | {item.held_out:.1f} | {other} | {item.plausibility:.2f}"
        lines.append(f"| {item.cls} {item.name} | {values} |")
    every, shared = list(MACO.items), [item for item in MACO.items if item.key in Fourier]
    for items, others in ((every, []), (shared, [Fourier[item.key] for item in shared])):
        real, held, near = (
            statistics.fmean(getattr(item, name) for item in items)
            for name in ("held_out_real", "held_out", "plausibility")
        )
        other = f"{statistics.fmean(one.held_out for one in others):.1f}" if others else ""
        lines.append(f"| **mean of {len(items)}** | {real:.1f} | {held:.1f} | {other} | {near:.2f} |")
    above = f"{MACO.measures.above_real} of {len(every)}"
    both = sum(Fourier[item.key].held_out > item.held_out_real for item in shared)
    lines.append(f"| **above the best photograph** | | {above} | {both} of {len(shared)} | |")
    return "\n".join(lines)


def grid(runs: dict[str, VisualizationRun], file: Path, title: str) -> Path:
    """All images; the numbers are held-out logits. 256 colors, as a picture of them all would be large otherwise."""
    items = [(name, run, item) for name, run in runs.items() for item in run.items]
    both = [pixels_of(run, item.key) for _, run, item in items]
    panels = Panels(
        torch.stack([one[0] for one in both]),
        torch.stack([one[1] for one in both]),
        torch.tensor([item.held_out for _, _, item in items]),
    )
    names = [item.name if name == "MACO" else f"{item.name}, {name}" for name, _, item in items]
    panel_grid({"": panels}, names, file, 5, title)
    with Image.open(file) as picture:
        few = picture.convert("RGB").quantize(COLORS)
    few.save(file, optimize=True)
    return file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    one = verbs.add_parser("ratio")
    for name, default in {"targets": 16, "steps": 4, "crops": 4, "canvas": 64, "rounds": 3}.items():
        one.add_argument(f"--{name}", type=int, default=default)
    one.set_defaults(run=ratio)
    two = verbs.add_parser("imagenet")
    two.add_argument("--classes", type=int, nargs="+", default=list(CLASSES))
    two.add_argument("--baseline", type=int, nargs="+", default=list(CLASSES[:10:2]), help="classes of the baseline")
    for name, default in {"steps": 48, "crops": 4, "canvas": 320, "size": 224, "batch": 5}.items():
        two.add_argument(f"--{name}", type=int, default=default)
    two.add_argument("--crop_side", type=float, default=0.6, help="side of all crops, as a share of the canvas")
    two.add_argument("--lr", type=float, default=0.3, help="of MACO")
    two.add_argument("--output", type=Path, default=Path("runs/feature_visualization"))
    two.add_argument("--picture", type=Path, default=Path("runs/feature_visualization.png"))
    two.set_defaults(run=imagenet)
    given = parser.parse_args()
    given.run(given)


if __name__ == "__main__":
    main()
