"""What share of the machine's matrix rate CoIBA reaches, and where the rest of its time goes.

    python -m benchmarks.matrix_rate [--images 4] [--rounds 3] [--steps 4]

One thread, ViT-S of 168 pixels, the preset `fast` with fewer of its steps, which are all alike. The rate of the machine
is that of products of large square matrices and of those that the network is made of, forward and back, timed in turns
with CoIBA. Operations are counted by torch, all that run in a fit: attention is counted step by step. Time is the
processor's; the profile, whose clock is that of the wall, is given in shares.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.utils.flop_counter import FlopCounterMode

from benchmarks._models import caltech_vit, pictures
from benchmarks._operations import REST, single_thread, times
from lit_coiba.attribution.presets import preset
from lit_coiba.backbones.fused_attention import attention_modules, unfused
from lit_coiba.bottlenecks import LeakTest, estimate_statistics

SQUARE = 2048
TOKENS, COPIES = 145, 14  # of the ViT-S; copies that run at once
KINDS = {
    "matrix products of layers": ["addmm", "mm", "linear", "mkldnn_linear", "matmul"],
    "attention's products": [
        *("bmm", "baddbmm", "_scaled_dot_product_flash_attention_for_cpu"),
        "_scaled_dot_product_flash_attention_for_cpu_backward",
    ],
    "softmax": ["_softmax", "_softmax_backward_data", "softmax", "_log_softmax"],
    "GELU": ["gelu", "gelu_backward"],
    "layer norms": ["native_layer_norm", "native_layer_norm_backward", "layer_norm"],
    "copies and casts": ["copy_", "clone", "_to_copy", "to", "contiguous", "cat", "stack", "repeat"],
    "sums and products by entry": ["add", "add_", "mul", "mul_", "sub", "div", "div_", "sum", "rsub", "neg"],
    "memory": ["empty", "empty_strided", "zeros", "zero_", "fill_", "new_empty_strided", "empty_like"],
}


def seconds(run: Callable[[], Any], repeats: int = 1) -> float:
    """Processor time of one run."""
    began = time.process_time()
    for _ in range(repeats):
        run()
    return (time.process_time() - began) / repeats


def products(kind: torch.dtype) -> dict[str, tuple[Callable[[], Any], float]]:
    """Name -> products of matrices, and the floating point operations in them."""
    square = torch.randn(SQUARE, SQUARE).to(kind)
    layers = [(384, 1152), (384, 384), (384, 1536), (1536, 384)]  # in and out, of a block
    tokens = [torch.randn(TOKENS * COPIES, width).to(kind) for width, _ in layers]
    weights = [torch.randn(out, width).to(kind) for width, out in layers]
    ends = [torch.randn(TOKENS * COPIES, out).to(kind) for _, out in layers]

    def block() -> Tensor:
        for x, weight, end in zip(tokens, weights, ends):
            linear(x, weight)
            found = end @ weight
        return found

    operations = sum(2 * 2 * TOKENS * COPIES * width * out for width, out in layers)
    return {
        f"squares of {SQUARE}": (lambda: square @ square, 2.0 * SQUARE**3),
        "those of a block": (block, float(operations)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    told, model = single_thread(), caltech_vit().eval()
    images = pictures(model, given.images)
    kind, arguments = preset("coiba_fast")
    layers = model.default_layers()
    known = estimate_statistics(model, layers, images.split(8)).with_leak(LeakTest({}, 0.0, 0, tuple(layers)))
    method = kind(**{**arguments, "layers": layers, "steps": given.steps})
    method.set_statistics(model, known, ())
    with torch.no_grad():
        targets = model(images).argmax(-1)

    def fit() -> Tensor:
        return method.attribute(model, images, targets)

    with unfused(attention_modules(model)), FlopCounterMode(display=False) as counter:
        fit()
    operations = float(counter.get_total_flops())
    each = operations / given.images / 1e9
    print(f"{told}, {len(layers)} bottleneck layers, {given.steps} steps: {each:.1f} GFLOP for an image", flush=True)
    shares: dict[str, dict[str, float]] = {}
    for name, low in (("fp32", False), ("bf16", True)):
        rates: dict[str, list[float]] = {}
        rows = {**products(torch.bfloat16 if low else torch.float32), "CoIBA": (fit, operations)}
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            for number in range(given.rounds + 1):
                for row, (run, count) in rows.items():
                    rate = count / seconds(run, 1 if row == "CoIBA" else 3) / 1e9
                    if number:
                        rates.setdefault(row, []).append(rate)
            found = times(fit, KINDS)
        whole = sum(found.values())
        shares[name] = {row: found[row] / whole for row in (*KINDS, REST)}
        for row, rated in rates.items():
            share = statistics.median(own / one for own, one in zip(rates["CoIBA"], rated))
            print(f"{name}: {row} {statistics.median(rated):.0f} GFLOP/s; CoIBA / it {share:.0%}", flush=True)
    print("| kind of operation, share of CoIBA's time | fp32 | bf16 |\n|---|--:|--:|")
    for row in (*KINDS, REST):
        print(f"| {row} | {shares['fp32'][row]:.0%} | {shares['bf16'][row]:.0%} |")


if __name__ == "__main__":
    main()
