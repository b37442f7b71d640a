"""How fast is CoIBA, and what do bf16 and fewer copies cost in agreement? ViT-S, one run, side by side.

(a) the way existing implementations do it: one image, ten full passes in fp32, weights with gradients
(b) ours, exact, fp32        (c) ours, exact, bf16        (d) the preset `fast`, bf16

    python benchmarks/coiba_speed.py [--assets DIR] [--rounds 3]

With the assets (the variable LIT_COIBA_ASSETS, or ../shared/assets) the model is a ViT-S/14 fine-tuned on Caltech-101
and the images are its validation images; without, weights and images are random, and rank correlations mean little.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import statistics as stats
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from scipy.stats import spearmanr
from torch import Tensor

from lit_coiba.attribution import CoIBA
from lit_coiba.backbones import Backbone
from lit_coiba.bottlenecks import ActivationStatistics, estimate_statistics
from lit_coiba.data import ImageFolder
from lit_coiba.data.blocks import BlockDataset
from lit_coiba.functional import BITS_PER_NAT, noise

IMAGES = 8
CORRELATED = 32


def load(assets: Path) -> tuple[Backbone, Tensor]:
    """A ViT-S and some hundred images, evenly spaced over the classes."""
    weights = assets / "models" / "vit_small_patch14_caltech101.fp16.safetensors"
    if not weights.exists():
        print(f"no assets in {assets}: random weights and images")
        torch.manual_seed(0)
        return Backbone("vit_small_patch16_224"), torch.randn(200, 3, 224, 224)
    model = Backbone("vit_small_patch14_dinov2", str(weights), num_classes=101, image_size=168, crop_pct=1.0)
    data = ImageFolder(str(assets / "caltech101" / "val"))
    dataset = data.dataset("predict")
    blocks = BlockDataset(dataset, model.preprocessing, 1)
    return model, torch.cat([blocks[k * len(dataset) // 200].images for k in range(200)])


def existing(model: Backbone, image: Tensor, target: Tensor, layers: list[str], known: ActivationStatistics) -> Tensor:
    """CoIBA as it is usually written: one image, hooks, every pass through the whole network; map ``(1, h, w)``."""
    alpha = torch.full((known.mean[layers[0]].shape[0], 1), 5.0, device=image.device, requires_grad=True)
    optimiser = torch.optim.Adam([alpha], lr=1.0)
    information: list[Tensor] = []

    def noised(step: int, index: int, output: Tensor) -> Tensor:
        mean, std = (part[layers[index]].to(output) for part in (known.mean, known.std))
        std, ratio = std.clamp_min(0.01), torch.sigmoid(alpha)
        eps = noise(0, step, index, output.shape).to(output)
        if index == 0:
            kl = -0.5 * (1 + torch.log((1 - ratio) ** 2) - (ratio * (output - mean) / std) ** 2 - (1 - ratio) ** 2)
            information[:] = [kl]
        return ratio * output + (1 - ratio) * (mean + std * eps)

    for step in range(10):
        hooks = [
            model.model.get_submodule(layer).register_forward_hook(
                lambda module, args, output, step=step, index=index: noised(step, index, output)
            )
            for index, layer in enumerate(layers)
        ]
        logits = model.model(image.expand(10, -1, -1, -1))
        for hook in hooks:
            hook.remove()
        loss = torch.nn.functional.cross_entropy(logits, target.expand(10)) + information[0].mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.grid(layers[0]).to_map(information[0].detach()[:1].sum(-1) * BITS_PER_NAT)


def rank_correlation(one: Tensor, other: Tensor) -> float:
    """Mean Spearman correlation of maps ``(B, h, w)``, image by image."""
    return stats.mean(float(spearmanr(a.flatten(), b.flatten()).statistic) for a, b in zip(one.cpu(), other.cpu()))


def timed(run: Callable[[], Tensor], device: torch.device) -> tuple[float, float]:
    """Seconds and peak memory (GiB above what was there before) of one call."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    else:
        before = reset_peak()
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter() - start, (torch.cuda.max_memory_allocated() - before) / 2**30
    return time.perf_counter() - start, (resident("VmHWM") - before) / 2**30


def reset_peak() -> float:
    """Give freed memory back and let the kernel count the peak anew (Linux); returns the resident set in bytes."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)  # glibc keeps what was freed, and it would count as there before
    except (OSError, AttributeError):
        print("freed memory cannot be given back here: peaks come out too small")
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        print("peak memory cannot be reset here: the figures are upper bounds")
    return resident("VmRSS")


def resident(field: str) -> float:
    """A field of /proc/self/status in bytes; NaN where there is none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next(float(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("LIT_COIBA_ASSETS", str(Path(__file__).parents[2] / "shared" / "assets"))
    parser.add_argument("--assets", type=Path, default=Path(default))
    parser.add_argument(
        "--rounds", type=int, default=3, help="each row is timed once a round; ratios are medians of rounds"
    )
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, images = load(arguments.assets)
    model.to(device).eval()
    layers = model.default_layers()
    known = estimate_statistics(model, layers, images.split(8))
    known = CoIBA(layers=layers).set_statistics(model, known, images[::4].split(8))  # leak test
    with torch.no_grad():
        targets = torch.cat([model(batch.to(device)).argmax(-1) for batch in images[:CORRELATED].split(8)])

    def method(**options: int | bool) -> CoIBA:
        coiba = CoIBA(layers=layers, **options)
        coiba.set_statistics(model, known, ())
        return coiba

    def ours(coiba: CoIBA, low: bool, count: int = IMAGES) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=low):
            pairs = zip(images[:count].to(device).split(IMAGES), targets[:count].split(IMAGES))
            return torch.cat([coiba.attribute(model, batch, classes) for batch, classes in pairs])

    exact, fast, other_seed = method(), method(copies=4, antithetic=True), method(seed=1)
    rows: dict[str, Callable[[], Tensor]] = {
        "a existing way, fp32": lambda: torch.cat(
            [existing(model, images[i].to(device), targets[i], layers, known) for i in range(IMAGES)]
        ),
        "b exact, fp32": lambda: ours(exact, False),
        "c exact, bf16": lambda: ours(exact, True),
        "d fast, bf16": lambda: ours(fast, True),
    }
    for name, run in rows.items():
        if not name.startswith("a"):
            run()  # warm-up: kernels chosen, noise drawn
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    memory: dict[str, float] = dict.fromkeys(rows, 0.0)
    for _ in range(arguments.rounds):
        for name, run in rows.items():
            duration, peak = timed(run, device)
            seconds[name].append(duration)
            memory[name] = max(memory[name], peak)

    def ratio(slow: str, quick: str) -> float:
        return stats.median(s / q for s, q in zip(seconds[slow], seconds[quick]))

    a, b, c, d = rows
    say = partial(print, flush=True)  # what is known is not lost when the long rest is cut off
    where = f"{device}, {torch.get_num_threads()} threads"
    say(f"ViT-S, {len(layers)} bottleneck layers from {layers[0]} on, {IMAGES} images, {where}")
    say(f"{'':24}{'s/image':>9}{'a / it':>9}{'peak GiB':>10}")
    for name in rows:
        say(f"{name:24}{stats.median(seconds[name]) / IMAGES:9.3f}{ratio(a, name):9.2f}{memory[name]:10.2f}")
    say(f"speed: b is {ratio(a, b):.2f} x a, c is {ratio(a, c):.2f} x a, d is {ratio(c, d):.2f} x c")
    say(f"rank correlation of b to a, {IMAGES} images: {rank_correlation(rows[a](), rows[b]()):.4f}")
    maps = ours(exact, False, CORRELATED)
    say(f"rank correlation of c to b, {CORRELATED} images: {rank_correlation(ours(exact, True, CORRELATED), maps):.4f}")
    say(f"rank correlation of d to b: {rank_correlation(ours(fast, True, CORRELATED), maps):.4f}")
    say(f"rank correlation of two seeds of b: {rank_correlation(ours(other_seed, False, CORRELATED), maps):.4f}")


if __name__ == "__main__":
    main()
