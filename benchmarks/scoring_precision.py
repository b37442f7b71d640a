"""Why bf16 is as fast as it is where images are scored: a forward of EfficientNet-Lite0 by kind of operation.

    python -m benchmarks.scoring_precision [--rounds 4]

Columns: fp32; bf16 by autocast; bf16 as metrics run it, with norms folded into convolutions and weights cast once.
"""

from __future__ import annotations

import argparse
import warnings
from contextlib import nullcontext

import torch

from benchmarks._models import efficientnet_lite0, pictures
from benchmarks._operations import REST, single_thread, times
from lit_coiba.core.frozen import frozen
from lit_coiba.perturbation.many_forwards import many_forwards

KINDS = {
    "convolutions, 1 x 1": ["convolution 1x1"],
    "convolutions, depthwise": ["convolution depthwise"],
    "convolution, first": ["convolution full"],
    "norms": ["native_batch_norm", "_batch_norm_impl_index", "batch_norm"],
    "ReLU6": ["clamp", "clamp_", "hardtanh", "hardtanh_"],
    "padding": ["fill_", "constant_pad_nd", "pad"],
    "copies and casts": ["copy_", "_to_copy", "to", "clone", "contiguous"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    rounds, told = parser.parse_args().rounds, single_thread()
    warnings.simplefilter("ignore")
    model = efficientnet_lite0().eval()
    images = model.ordered(pictures(model, 8, "imagenet-samples/images"))
    found = []
    with frozen(model), torch.no_grad():
        for low, way in ((False, nullcontext), (True, nullcontext), (True, many_forwards)):
            with torch.autocast("cpu", torch.bfloat16, enabled=low), way(model):
                found.append(times(lambda: model(images), KINDS, rounds))
    print(f"{told}, 8 images of 224 pixels, ms")
    print("| kind of operation | fp32 | bf16, plain | bf16, as metrics run it | fp32 / it |\n|---|--:|--:|--:|--:|")
    rows = {kind: [one[kind] for one in found] for kind in (*KINDS, REST)}
    rows["all"] = [sum(one.values()) for one in found]
    for kind, (full, plain, ours) in rows.items():
        ratio = f"{full / ours:.1f}" if ours >= 0.05 else ""
        print(f"| {kind} | {full:.1f} ({full / rows['all'][0]:.0%}) | {plain:.1f} | {ours:.1f} | {ratio} |")


if __name__ == "__main__":
    main()
