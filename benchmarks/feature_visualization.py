"""Feature visualization: what a batch saves, and MACO beside the Fourier baseline on EfficientNet-Lite0.

    OMP_NUM_THREADS=1 python -m benchmarks.feature_visualization ratio [--targets 16] [--steps 4] [--rounds 3]
    OMP_NUM_THREADS=1 python -m benchmarks.feature_visualization pictures [--classes 1 88 417 985] [--steps 128] ...

``ratio`` optimizes images for many classes in one batch and one at a time, interleaved, and prints by how much the
single runs take longer, and the largest difference of the images. ``pictures`` needs the project's assets
(LIT_COIBA_ASSETS); it writes a picture of both methods, and prints mean logit and probability of the class over crops
that no image was optimized on, beside those of the class's own photograph.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import time
from pathlib import Path

import torch
from torch import Tensor

from lit_coiba.backbones import Backbone
from lit_coiba.data.in_hand import load_images
from lit_coiba.feature_visualization import MACO, FourierBaseline, Visualizations
from lit_coiba.feature_visualization.crops import crop_boxes, cropped
from lit_coiba.pictures import visualization_grid
from lit_coiba.resources import resource

CLASSES = (1, 88, 417, 985)  # goldfish, macaw, balloon, daisy
HELD_OUT = 1234  # seed of crops that no image was optimized on


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


def held_out(model: Backbone, images: Tensor, classes: list[int], crops: int = 16) -> tuple[Tensor, Tensor]:
    """Mean logit and probability of each image's class over crops of 0.6 to 1 of it, which it was not optimized on."""
    boxes = crop_boxes(HELD_OUT, 0, 1, crops, 0.1, 0.8)
    with torch.no_grad():
        shown = cropped(images, boxes, model.preprocessing.size)
        logits = model(model.normalize(shown)).unflatten(0, (len(images), crops))
    index = torch.tensor(classes).view(-1, 1, 1).expand(-1, crops, 1)
    return logits.gather(-1, index).mean((1, 2)), logits.softmax(-1).gather(-1, index).mean((1, 2))


def pictures(given: argparse.Namespace) -> None:
    assets = Path(os.environ.get("LIT_COIBA_ASSETS", "../shared/assets"))
    weights = str(assets / "models" / "tf_efficientnet_lite0.fp16.safetensors")
    model = Backbone("tf_efficientnet_lite0", weights, image_size=given.size).eval()
    with (assets / "imagenet-samples" / "classes.csv").open(encoding="utf-8") as file:
        rows = {int(row["index"]): row["name"] for row in csv.DictReader(file)}
    for number in given.classes:
        for file in (assets / "imagenet-samples" / "images").glob(f"{number:04d}_*.jpg"):
            photograph = model.denormalize(load_images(file, model))
            logit, probability = (float(part) for part in held_out(model, photograph, [number]))
            print(f"{rows[number]}, photograph: logit {logit:.1f}, probability {probability:.2f}")
    sizes = {"steps": given.steps, "canvas": given.canvas, "crops": given.crops, "seed": given.seed}
    found: dict[str, Visualizations] = {}
    for name, method in {"MACO": MACO(**sizes, lr=given.lr), "Fourier": FourierBaseline(**sizes)}.items():
        start = time.perf_counter()
        one = method.visualize(model, given.classes)
        logits, probabilities = held_out(model, one.images, given.classes)
        seconds = time.perf_counter() - start
        print(f"{name}: {seconds:.0f} s, magnitude error {float(one.magnitude_error.max()):.1e}")
        for place, number in enumerate(given.classes):
            values = f"{float(logits[place]):.1f}, probability {float(probabilities[place]):.2f}"
            print(f"  {rows[number]}: score {float(one.scores[place, -1]):.1f}, held-out crops: logit {values}")
        found[name] = one._replace(names=tuple(rows[number] for number in given.classes))
    title = f"tf_efficientnet_lite0, {given.steps} steps, {given.crops} crops, canvas {given.canvas}"
    print(visualization_grid(found, given.output, columns=1, title=title))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    one = verbs.add_parser("ratio")
    for name, default in {"targets": 16, "steps": 4, "crops": 4, "canvas": 64, "rounds": 3}.items():
        one.add_argument(f"--{name}", type=int, default=default)
    one.set_defaults(run=ratio)
    two = verbs.add_parser("pictures")
    two.add_argument("--classes", type=int, nargs="+", default=list(CLASSES))
    for name, default in {"steps": 128, "crops": 4, "canvas": 320, "size": 224, "seed": 0}.items():
        two.add_argument(f"--{name}", type=int, default=default)
    two.add_argument("--lr", type=float, default=0.3, help="of MACO")
    two.add_argument("--output", type=Path, default=Path("runs/feature_visualization.png"))
    two.set_defaults(run=pictures)
    given = parser.parse_args()
    given.run(given)


if __name__ == "__main__":
    main()
