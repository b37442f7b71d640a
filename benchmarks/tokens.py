"""What a deletion curve costs whose patches are absent, beside one whose patches are zeros: real weights and images.

    python -m benchmarks.tokens [--images 8] [--steps 16] [--rounds 2]

The ViT-S of the assets (168 pixels, 12 x 12 patches) on images of Caltech-101. First the scores are looked at: leaving
tokens out equals masking their keys, and both curves begin at the same score. Times are the least of the rounds;
those of the processor say the same on a machine that others use.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor

from benchmarks._models import caltech_vit, pictures
from lit_coiba.attribution import Occlusion
from lit_coiba.backbones import Backbone
from lit_coiba.backbones.tokens import TokenDropping
from lit_coiba.metrics import Deletion

MOST = 0.75  # share of the time of zeros that a curve with tokens may take


@torch.no_grad()
def largest_difference(model: Backbone, images: Tensor) -> float:
    """Between logits of gathered and of masked tokens, relative to their largest."""
    dropping = TokenDropping.of(model)
    tokens = dropping.embed(images)
    kept = torch.rand(len(images), tokens.shape[1] - dropping.num_prefix, generator=torch.manual_seed(0)) < 0.5
    found, masked = dropping.run(tokens, kept), dropping.run(tokens, kept, masked=True)
    return float((found - masked).abs().max() / masked.abs().max())


def measure(count: int = 8, steps: int = 16, rounds: int = 2) -> None:
    """Print both times and their ratio.

    Args:
        count: Number of images.
        steps: Number of steps of the curves.
        rounds: Number of times that each is made.
    """
    model = caltech_vit().eval()
    images = pictures(model, count)
    maps = Occlusion(baseline="tokens").attribute(model, images)
    print(f"gathered and masked tokens differ by {largest_difference(model, images):.1e} of the largest logit")
    clocks = {"elapsed": time.perf_counter, "of the processor": time.process_time}
    seconds: dict[tuple[str, str], float] = {}
    curves = {}
    for baseline in ("zero", "tokens") * rounds:
        metric, started = (
            Deletion(baseline=baseline, grid_size=12, steps=steps),
            [now() for now in clocks.values()],
        )
        curves[baseline] = metric.curves(model, images, None, maps)
        for (clock, now), start in zip(clocks.items(), started):
            seconds[clock, baseline] = min(seconds.get((clock, baseline), torch.inf), now() - start)
    assert torch.allclose(curves["zero"][:, 0], curves["tokens"][:, 0], atol=1e-5)
    print(f"deletion of {count} images in {steps} steps, mean score of the curves:", end=" ")
    print(", ".join(f"{baseline} {curve.mean():.3f}" for baseline, curve in curves.items()))
    for clock in clocks:
        zero, tokens = seconds[clock, "zero"], seconds[clock, "tokens"]
        told = "yes" if tokens <= MOST * zero else "NO"
        print(
            f"seconds {clock}: zero {zero:.2f}, tokens {tokens:.2f}, ratio {tokens / zero:.2f}, at most {MOST}: {told}"
        )


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    measure(given.images, given.steps, given.rounds)


if __name__ == "__main__":
    main()
