"""What metrics cost: beside Quantus and torch-cam, in bf16, with tokens, and many together. Equal scores come first.

    python -m benchmarks.metrics_speed [curves steps bf16 tokens together] [--images 4] [--rounds 3] [--samples 8]

curves: insertion and deletion of EfficientNet-Lite0 in 28 steps, beside Quantus' PixelFlipping and torch-cam's metric.
steps: deletion in 224 steps at 224 pixels with the CNN for SyntheticParts, beside PixelFlipping.
bf16: both curves in bf16 beside fp32, of EfficientNet-Lite0 and of the ViT-S of the assets.
tokens: a deletion curve with missing tokens beside one with zeros (`benchmarks.tokens`).
together: a benchmark of 5 stores and 8 metrics beside the 40 benchmarks of one store and one metric.

The sides of a comparison take turns, and ratios are medians over the rounds: of the time that passes, and of that of
the processor, which says the same on a machine that others use. Images are counted at the network's first convolution;
what others do not run, such as the clean image, is in the ratio "at equal forwards" divided out. Quantus and torch-cam
are no dependencies (pip install quantus==0.6.0 torchcam==0.5.0): what is not installed is left out. Real weights and
images are found through LIT_COIBA_ASSETS.
"""

from __future__ import annotations

import argparse
import importlib
import tempfile
import warnings
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from benchmarks import tokens
from benchmarks._models import caltech_vit, efficientnet_lite0, pictures, synthetic_parts_cnn
from benchmarks._peers import flipped, installed, torchcam_areas
from benchmarks._race import counted, race
from lit_coiba.attribution.presets import columns
from lit_coiba.backbones import Backbone
from lit_coiba.data import SyntheticParts
from lit_coiba.metrics import (
    SDS,
    SRG,
    Deletion,
    FaithfulnessCorrelation,
    Insertion,
    Metric,
    MuFidelity,
    SaCo,
    SensitivityN,
)
from lit_coiba.metrics.shared import Shared
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.scorer import Scorer
from lit_coiba.trainer import Trainer

IMAGENET = "imagenet-samples/images"
STEPS = 28  # of eight rows at 224 pixels
FASTER = 2.0  # times as fast as fp32 that bf16 has to be
APART = 0.005  # most that mean scores in bf16 may differ by
SHARE = 0.6  # of the forwards of the parts, at most
STORES = ["saliency", "input_x_gradient", "integrated_gradients", "grad_cam", "layer_cam"]


def coarse_maps(images: Tensor, cells: int = 7) -> Tensor:
    """Random maps ``(B, H, W)`` as coarse as those of methods, no two values of which are equal."""
    drawn = torch.Generator().manual_seed(0)
    size = (images.shape[-2], images.shape[-1])
    coarse = interpolate(torch.rand(len(images), 1, cells, cells, generator=drawn), size, mode="bilinear")[:, 0]
    order = torch.rand(len(images), size[0] * size[1], generator=drawn).argsort(1).view_as(coarse)
    places = (coarse.double() + 1e-9 * order).flatten(1).argsort(1).argsort(1)
    return places.view_as(coarse).float()


def verdict(held: bool) -> str:
    """A word for whether a promise was kept."""
    return "yes" if held else "NO"


def curves(count: int, rounds: int) -> None:
    """Insertion and deletion in fp32, beside Quantus and torch-cam."""
    model = efficientnet_lite0().eval()
    images = pictures(model, count, IMAGENET)
    maps, targets = coarse_maps(images), predicted(model, images)
    options: dict[str, Any] = {"steps": STEPS, "baseline": 0.0}
    deletion, insertion = Deletion(**options), Insertion(**options)
    ratios = []
    if installed("quantus"):
        step = maps[0].numel() // STEPS

        def deleted() -> Tensor:
            return deletion.curves(model, images, targets, maps)[:, 1:]

        def inserted() -> Tensor:  # the least important first, read backwards
            return insertion.curves(model, images, targets, maps)[:, :-1].flip(1)

        for name, ours, ranked in (("deletion", deleted, maps), ("insertion", inserted, -maps)):
            theirs = lambda ranked=ranked: flipped(model, images, targets, ranked, step)  # noqa: E731
            ratios.append(race(f"Quantus and ours, {name} in {STEPS} steps", model, theirs, ours, rounds, 1e-4))
    if installed("torchcam"):

        def both() -> Tensor:
            shared = Shared()
            areas = [metric.score(model, images, targets, maps, shared) for metric in (deletion, insertion)]
            return torch.stack(areas).mean(1)

        theirs = lambda: torchcam_areas(model, images, targets, maps, STEPS)  # noqa: E731
        ratios.append(race(f"torch-cam and ours, both in {STEPS} steps", model, theirs, both, rounds, 1e-4))
    if ratios:
        least = min(ratio["processor"] for ratio in ratios)
        print(f"    never slower at equal forwards: {verdict(least >= 1)} ({least:.2f})")


def predicted(model: Backbone, images: Tensor) -> Tensor:
    """The class of each image."""
    with torch.no_grad():
        return model(images).argmax(-1)


def steps(count: int, rounds: int, size: int = 224) -> None:
    """A row of pixels a step, with a network that is small, beside Quantus."""
    if not installed("quantus"):
        return
    model = synthetic_parts_cnn().eval()
    drawn = SyntheticParts(size=size).drawn("test").batch(range(count))
    images = model.normalize(drawn.float() / 255)
    maps, targets, metric = coarse_maps(images), predicted(model, images), Deletion()
    race(
        f"Quantus and ours, deletion in {size} steps at {size} pixels, CNN for SyntheticParts",
        model,
        lambda: flipped(model, images, targets, maps, size),
        lambda: metric.curves(model, images, targets, maps)[:, 1:],
        rounds,
        1e-4,
    )


def bf16(count: int, rounds: int) -> None:
    """Both curves in bf16 beside fp32."""
    halved("EfficientNet-Lite0", efficientnet_lite0().eval(), IMAGENET, count, rounds)
    halved("ViT-S", caltech_vit().eval(), "caltech101/val", count, rounds)


def halved(name: str, model: Backbone, folder: str, count: int, rounds: int) -> None:
    """The same for one model, on images in the memory format that the Trainer gives them."""
    images = model.ordered(pictures(model, count, folder))
    maps, targets = coarse_maps(images), predicted(model, images)
    metrics = [kind(steps=STEPS) for kind in (Insertion, Deletion)]

    def scored(low: bool) -> Tensor:
        shared = Shared()
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            return torch.stack([metric.score(model, images, targets, maps, shared) for metric in metrics])

    ratios = race(f"{name}, fp32 and bf16", model, lambda: scored(False), lambda: scored(True), rounds)
    print(f"    at least {FASTER:.0f} times as fast: {verdict(ratios['processor'] >= FASTER)}")
    print(f"    means within {APART}: {verdict(ratios['gap'] <= APART)} ({count} images)")


def quarter() -> dict[str, Metric]:
    """Eight metrics, with about a quarter of the forwards of their usual settings."""
    return {
        "insertion": Insertion(steps=16),
        "deletion": Deletion(steps=16),
        "srg": SRG(steps=12),
        "sds": SDS(grid_size=4),
        "mu_fidelity": MuFidelity(subsets=50),
        "faithfulness_correlation": FaithfulnessCorrelation(subsets=25),
        "sensitivity_n": SensitivityN(subsets=25),
        "saco": SaCo(groups=4),
    }


def together(samples: int) -> None:
    """Forwards of a benchmark beside those of its parts; the references of every table are left out of both."""
    warnings.simplefilter("ignore")
    model, data = synthetic_parts_cnn(), SyntheticParts(batch_size=8, num_workers=0, limit=samples)
    trainer = Trainer(accelerator="cpu", devices=1, logger=False, enable_progress_bar=False)
    verb = importlib.import_module("lit_coiba.trainer.benchmark")
    forwards: dict[tuple[str, ...], int] = {}
    with tempfile.TemporaryDirectory() as scratch, mock.patch.object(verb, "references", return_value={}):
        folders = {name: str(Path(scratch) / name) for name in STORES}
        for name, method in columns(STORES).items():
            trainer.explain(Explainer(model, method), data, folders[name], pictures=False)

        def scored(key: tuple[str, ...], stores: list[str], metrics: dict[str, Metric]) -> Any:
            output = str(Path(scratch) / "-".join(("scores", *key)))
            with counted(model) as seen:
                board = trainer.benchmark(Scorer(model, metrics), data, stores, output, pictures=False)
            forwards[key] = sum(seen)
            return board.scores

        whole = scored((), list(folders.values()), quarter())
        for name in STORES:
            for column, metric in quarter().items():
                found = scored((name, column), [folders[name]], {column: metric})[name][column]
                assert torch.equal(found.nan_to_num(9), whole[name][column].nan_to_num(9)), (name, column)
    all_at_once = forwards.pop(())
    alone = sum(forwards.values())
    print(f"benchmark of {len(STORES)} stores and {len(quarter())} metrics, {samples} samples of SyntheticParts:")
    each = {column: forwards[STORES[0], column] for column in quarter()}
    print(f"    of one store alone: {', '.join(f'{column} {number:,}' for column, number in each.items())}")
    print(f"    equal scores; images {all_at_once:,} at once, {alone:,} in {len(forwards)} benchmarks of one store and")
    told = verdict(all_at_once <= SHARE * alone)
    print(
        f"    one metric (no references in either): ratio {all_at_once / alone:.2f}, at most {SHARE}: {told}",
        flush=True,
    )


def main() -> None:
    """Run what is asked for."""
    parts = ("curves", "steps", "bf16", "tokens", "together")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="what is measured; all without")
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=8, help="of SyntheticParts, for together")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(parts):
        parser.error(f"{', '.join(sorted(unknown))}: choose {', '.join(parts)}")
    print(f"{torch.get_num_threads()} threads, {given.images} images, {given.rounds} rounds", flush=True)
    for name in given.parts or parts:
        if name == "tokens":
            tokens.measure(given.images, rounds=given.rounds)
        elif name == "together":
            together(given.samples)
        else:
            {"curves": curves, "steps": steps, "bf16": bf16}[name](given.images, given.rounds)


if __name__ == "__main__":
    main()
