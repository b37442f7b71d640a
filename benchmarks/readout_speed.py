"""What an explanation by a trained readout costs, beside a plain forward and beside per-sample CoIBA, in one run.

    python -m benchmarks.readout_speed [--batch 16] [--rounds 3] [--exact 4]

A ViT-S of 168 pixels (the assets' weights, else random ones: the time is the same), eight bottleneck layers, readouts
with random weights. Each row is processor time for an image (on a GPU the wall clock), the median of rounds in which
rows alternate; exact CoIBA runs on a few images only. The last lines tell what a training step costs, and after how
many explained images a training of so many images has paid for itself against the preset `fast`.
"""

from __future__ import annotations

import argparse
import os
import statistics as stats
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from benchmarks.coiba_speed import load
from benchmarks.readout_quality import FAST
from lit_coiba.attribution import CoIBA, ReadoutCoIBA
from lit_coiba.backbones import Backbone
from lit_coiba.bottlenecks import ActivationStatistics, LeakTest, estimate_statistics
from lit_coiba.bottlenecks.readout.noised import image_keys
from lit_coiba.bottlenecks.readout.trained_readout import TrainedReadout
from lit_coiba.training import CoIBAReadout

TRAINED = 2_222 * 3  # images of the training that the last line is about: three epochs of Caltech-101


def training(model: Backbone, known: ActivationStatistics, gradient: bool) -> CoIBAReadout:
    """A readout in training, with statistics that are there."""
    module = CoIBAReadout(model, gradient=gradient, gap_images=0)
    module._begin(known)
    return module


def readout(module: CoIBAReadout, folder: str, name: str) -> ReadoutCoIBA:
    """The method of an untrained readout."""
    assert module.readout is not None
    assert module._about is not None
    assert module._statistics is not None
    file = f"{folder}/{name}.safetensors"
    TrainedReadout(module._about, module.readout.state_dict(), module._statistics).save(file)
    return ReadoutCoIBA(file)


def clock(device: torch.device) -> float:
    """Processor time, on a GPU the wall clock behind all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def main(batch: int, rounds: int, exact: int, assets: Path) -> None:
    """Print the table."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, images = load(assets)
    model.to(device).eval()
    images = model.ordered(images[:batch].to(device))
    layers = model.default_layers()
    known = estimate_statistics(model, layers, images.split(8)).with_leak(LeakTest({}, 0.0, 0, tuple(layers)))
    with torch.no_grad():
        targets = model(images).argmax(-1)

    def coiba(**options: object) -> CoIBA:
        method = CoIBA(layers, **options)  # type: ignore[arg-type]
        method.set_statistics(model, known, ())
        return method

    def plain() -> Tensor:
        with torch.no_grad():
            return model(images)

    with TemporaryDirectory() as folder:
        modules = {gradient: training(model, known, gradient) for gradient in (False, True)}
        methods = {gradient: readout(module, folder, str(gradient)) for gradient, module in modules.items()}
        fast, whole = coiba(**FAST), coiba()

        def step() -> None:
            module = modules[True].to(device)
            losses = module._losses(images, image_keys(images), 0)
            losses["loss"].backward()

        rows: dict[str, tuple[Callable[[], object], int]] = {
            "plain forward": (plain, batch),
            "readout, no gradient": (lambda: methods[False].explain(model, images, targets), batch),
            "readout, gradient": (lambda: methods[True].explain(model, images, targets), batch),
            "CoIBA, fast": (lambda: fast.explain(model, images[:exact], targets[:exact]), exact),
            "CoIBA, exact": (lambda: whole.explain(model, images[:exact], targets[:exact]), exact),
            "step of a training": (step, batch),
        }
        for low in (False, True):
            seconds: dict[str, list[float]] = {name: [] for name in rows}
            with torch.autocast(device.type, torch.bfloat16, enabled=low):
                for number in range(rounds + 1):
                    for name, (run, count) in rows.items():
                        start = clock(device)
                        run()
                        if number:  # the first is a warm-up
                            seconds[name].append((clock(device) - start) / count)
            report("bf16" if low else "fp32", {name: stats.median(found) for name, found in seconds.items()})


def report(precision: str, seconds: dict[str, float]) -> None:
    """One table."""
    print(f"{precision}{'':24}{'s/image':>9}{'/ forward':>11}{'exact / it':>12}{'fast / it':>11}")
    for name, one in seconds.items():
        ratios = (one / seconds["plain forward"], seconds["CoIBA, exact"] / one, seconds["CoIBA, fast"] / one)
        print(f"{name:28}{one:9.4f}{ratios[0]:11.2f}{ratios[1]:12.1f}{ratios[2]:11.1f}", flush=True)
    saved = seconds["CoIBA, fast"] - seconds["readout, gradient"]
    images = TRAINED * seconds["step of a training"] / saved
    print(f"a training of {TRAINED:,} images has paid for itself after {images:,.0f} images by `fast`")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("LIT_COIBA_ASSETS", str(Path(__file__).parents[2] / "shared" / "assets"))
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--exact", type=int, default=4)
    parser.add_argument("--assets", type=Path, default=Path(default))
    given = parser.parse_args()
    main(given.batch, given.rounds, given.exact, given.assets)
