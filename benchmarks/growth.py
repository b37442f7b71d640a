"""How the cost of an explanation grows: with images, image size, noise copies, classes and targets, in one run.

    python -m benchmarks.growth [--rounds 3]

CoIBA, four steps, and Grad-CAM on a small vision transformer with random weights; each figure is the processor time of
one call, divided by that of the first entry of its row; medians of rounds.
"""

from __future__ import annotations

import argparse
import statistics as stats
import time
from collections.abc import Callable

import torch

from lit_coiba.attribution import CoIBA, GradCAM
from lit_coiba.backbones import Backbone
from lit_coiba.bottlenecks import LeakTest, estimate_statistics
from lit_coiba.core.method import AttributionMethod

SIZE, COPIES, CLASSES, IMAGES = 128, 4, 100, 8


def made(size: int = SIZE, classes: int = CLASSES) -> Backbone:
    """A vision transformer of six blocks with patches of 16 pixels."""
    arguments = {"embed_dim": 192, "depth": 6, "num_heads": 3}
    torch.manual_seed(0)
    return Backbone("vit_tiny_patch16_224", num_classes=classes, image_size=size, timm_kwargs=arguments).eval()


def coiba(model: Backbone, copies: int = COPIES) -> CoIBA:
    """CoIBA with statistics of noise, four steps."""
    layers = model.default_layers()
    noise = torch.randn(8, 3, *model.preprocessing.size)
    found = estimate_statistics(model, layers, [noise]).with_leak(LeakTest({}, 0.0, 0, tuple(layers)))
    method = CoIBA(layers, steps=5, copies=copies)
    method.set_statistics(model, found, ())
    return method


def explaining(model: Backbone, method: AttributionMethod, images: int = IMAGES) -> Callable[[], object]:
    """One call for given classes."""
    batch = torch.randn(images, 3, *model.preprocessing.size)
    targets = torch.arange(images) % model.num_classes
    return lambda: method.explain(model, batch, targets)


def main(rounds: int) -> None:
    """Print the table."""
    model = made()
    several, one = {1, 2, 4, 8, 16}, GradCAM()
    table: dict[str, dict[int, Callable[[], object]]] = {
        "images, CoIBA": {n: explaining(model, coiba(model), n) for n in sorted(several)},
        "images, Grad-CAM": {n: explaining(model, one, n) for n in sorted(several)},
        "pixels a side, CoIBA": {n: explaining(m := made(n), coiba(m)) for n in (64, 128, 192, 256)},
        "pixels a side, Grad-CAM": {n: explaining(made(n), one) for n in (64, 128, 192, 256)},
        "copies, CoIBA": {n: explaining(model, coiba(model, n)) for n in (2, 4, 8, 16)},
        "classes of the model, CoIBA": {n: explaining(m := made(classes=n), coiba(m)) for n in (10, 100, 1000, 10_000)},
    }
    for name, row in table.items():
        seconds: dict[int, list[float]] = {n: [] for n in row}
        for number in range(rounds + 1):
            for n, run in row.items():
                start = time.process_time()
                run()
                if number:  # the first is a warm-up
                    seconds[n].append(time.process_time() - start)
        found = {n: stats.median(values) for n, values in seconds.items()}
        first = next(iter(found.values()))
        print(f"| {name} | " + ", ".join(f"{n}: {value / first:.2f}" for n, value in found.items()) + " |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    main(parser.parse_args().rounds)
