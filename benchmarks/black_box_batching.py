"""Does it pay to explain many images at once? Every perturbation method on the shipped networks of SyntheticParts.

Three ways, in one run and interleaved; times per image, medians over the rounds, as ratios to the first:
(a) 16 images in one call    (b) 16 calls with one image, whose copies run together
(c) the common way: one image, and one perturbed copy of it at a time (chunk = 1)
The maps of all three are compared. Then Sobol against the loop as it is usually written: one image, one copy at a time,
and the design of n (d + 2) forwards.

    OMP_NUM_THREADS=1 python benchmarks/black_box_batching.py [--rounds 5] [--images 16] [--methods RISE Sobol]
"""

from __future__ import annotations

import argparse
import statistics as stats
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lit_coiba import attribution
from lit_coiba.backbones import Backbone
from lit_coiba.core.method import AttributionMethod
from lit_coiba.data import SyntheticParts
from lit_coiba.data.blocks import BlockDataset
from lit_coiba.functional import replicated_rows, sobol_sequence, total_order
from lit_coiba.perturbation.masking import cell_masks
from lit_coiba.resources import resource

# A few evaluations each; what is not in this version of the package is left out.
METHODS: dict[str, dict[str, Any]] = {
    "Sobol": {"grid_size": 4, "n_samples": 4},
    "HSIC": {"n_samples": 64},
    "RISE": {"n_samples": 64},
    "Occlusion": {},
    "LIME": {"n_samples": 64},
    "KernelSHAP": {"n_samples": 64},
    "SmoothGrad": {"copies": 32},
    "IntegratedGradients": {"steps": 32},
    "NIB": {"steps": 32},
    "UNI": {},
    "ScoreCAM": {"channels": 64},
    "ViTCX": {},
    "EVA": {"radius": 1e-9, "patch": 16, "bound": "ibp"},
}
MODELS = ("cnn", "vit")


def pictures(model: Backbone, count: int) -> Tensor:
    dataset = SyntheticParts().dataset("predict")
    blocks = BlockDataset(dataset, model.preprocessing, 1)
    return torch.cat([blocks[k].images for k in range(count)])


def one_by_one(method: AttributionMethod, model: Backbone, images: Tensor, targets: Tensor) -> Tensor:
    pairs = zip(images.split(1), targets.split(1))
    return torch.cat([method.explain(model, image, target).maps for image, target in pairs])


def common_sobol(model: Backbone, images: Tensor, targets: Tensor, grid: int, n: int) -> Tensor:
    """Sobol as it is usually written: a loop over images and over the rows of the published design."""
    maps, d = [], grid * grid
    rows = replicated_rows(sobol_sequence(n, 2 * d, seed=0), torch.arange(n * (d + 2)), with_b=True)
    with torch.no_grad():
        for image, target in zip(images, targets):
            scores = []
            for row in rows:
                mask = cell_masks(row[None].float(), image.shape[-2:])
                scores.append(model(image[None] * mask)[0, target])
            found = torch.stack(scores)
            maps.append(total_order(found[:n], found[2 * n :].view(d, n)).view(grid, grid))
    return torch.stack(maps).float()


def interleaved(ways: list[Callable[[], Tensor]], rounds: int) -> tuple[list[float], list[Tensor]]:
    """Median seconds of each way, and what it gave; they take turns, so a slow minute is one of all of them."""
    seconds: list[list[float]] = [[] for _ in ways]
    found = [way() for way in ways]  # warm
    for _ in range(rounds):
        for way, times in zip(ways, seconds):
            start = time.perf_counter()
            way()
            times.append(time.perf_counter() - start)
    return [stats.median(times) for times in seconds], found


def apart(maps: list[Tensor]) -> float:
    """Largest difference to the first, relative to its largest value."""
    return max(float((other - maps[0]).abs().max() / maps[0].abs().max()) for other in maps[1:])


def compare(name: str, model: Backbone, images: Tensor, targets: Tensor, rounds: int, skip_common: bool) -> str:
    cls = getattr(attribution, name)
    arguments = METHODS[name]
    chunked = "chunk" in cls(**arguments).arguments()
    method, single = cls(**arguments), cls(**arguments, **({"chunk": 1} if chunked else {}))
    ways = [
        lambda: method.explain(model, images, targets).maps,
        lambda: one_by_one(method, model, images, targets),
    ]
    if not skip_common:
        ways.append(lambda: one_by_one(single, model, images, targets))
    seconds, maps = interleaved(ways, rounds)
    each = 1000 * seconds[0] / len(images)
    ratios = " | ".join(f"{other / seconds[0]:.2f}" for other in seconds[1:])
    return f"| {name} | {each:.1f} | {ratios} | {apart(maps):.0e} |"


def compare_sobol(model: Backbone, images: Tensor, targets: Tensor, rounds: int) -> str:
    sizes = METHODS["Sobol"]
    sobol = attribution.Sobol(**sizes)
    ways = [
        lambda: sobol.explain(model, images, targets).maps,
        lambda: common_sobol(model, images, targets, **sizes),
    ]
    seconds, maps = interleaved(ways, rounds)
    return (
        f"\nSobol, one-image loop of n (d + 2) forwards: {seconds[1] / seconds[0]:.2f} times as long as"
        f" {len(images)} images at once with n (d + 1); difference {apart(maps):.0e}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--skip_common", action="store_true", help="leave out one copy at a time, which takes longest")
    given = parser.parse_args()
    print(f"{given.images} images, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for name in given.models:
        model = Backbone.load(resource(f"checkpoints/synthetic_parts_{name}.safetensors")).eval()
        images = pictures(model, given.images)
        with torch.no_grad():
            targets = model(images).argmax(-1)
        common = "" if given.skip_common else " one copy at a time, times as long |"
        print(
            f"\n| {name} | ms an image, {given.images} at once | one image a call, times as long |{common} difference |"
        )
        print("|---|---|---|---|" + ("" if given.skip_common else "---|"))
        for method in given.methods:
            if not hasattr(attribution, method):
                continue
            try:
                print(compare(method, model, images, targets, given.rounds, given.skip_common), flush=True)
            except ValueError as error:  # the method cannot explain this network, in its own words
                print(f"| {method} | {error} |" + " |" * (3 - given.skip_common), flush=True)
        if "Sobol" in given.methods and not given.skip_common:
            print(compare_sobol(model, images, targets, given.rounds), flush=True)


if __name__ == "__main__":
    main()
