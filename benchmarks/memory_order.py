"""What it is worth that perturbed copies reach the network with channels last: methods with and without, turn by turn.

python -m benchmarks.memory_order [--rounds 3]
"""

from __future__ import annotations

import argparse
from unittest import mock

import torch
from torch import Tensor

from benchmarks._models import efficientnet_lite0, pictures
from benchmarks._turns import take_turns
from lit_coiba.attribution import HSIC, LIME, RISE, KernelSHAP, Occlusion, Sobol
from lit_coiba.backbones import Backbone

METHODS = (
    Occlusion(window=32),
    RISE(n_samples=64),
    KernelSHAP(n_samples=64),
    LIME(n_samples=64),
    Sobol(grid_size=4, n_samples=4),
    HSIC(n_samples=64),
)


def first(_: Backbone, images: Tensor) -> Tensor:
    """In the place of `Backbone.ordered`: images as broadcasting makes them."""
    return images.contiguous()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    model = efficientnet_lite0().eval()
    image = pictures(model, 1)
    print("| method | precision | channels first | last | ratio | maps differ by |\n|---|---|--:|--:|--:|--:|")
    for low in (False, True):
        for method in METHODS:

            def ours(method=method, low=low) -> Tensor:
                with torch.autocast("cpu", torch.bfloat16, enabled=low):
                    return method.attribute(model, image, 3)

            def theirs(ours=ours) -> Tensor:
                with mock.patch.object(Backbone, "ordered", first):
                    return ours()

            apart = float((theirs() - ours()).abs().max() / ours().abs().max())
            turns, precision = take_turns(theirs, ours, rounds), "bf16" if low else "fp32"
            print(f"| {type(method).__name__} | {precision} | {turns} | {apart:.1e} |", flush=True)


if __name__ == "__main__":
    main()
