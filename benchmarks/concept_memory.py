"""Peak memory of a search for concepts over so many crops, and over ten times as many.

    python -m benchmarks.concept_memory [--images 100]

Crops of generated images stream through a small CNN; each search runs in a process of its own, whose peak is read at
the end. What is kept is a sample of `--rows` rows, so the peaks should be the same.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys

CROPS = 16  # of an image


def measured(images: int, rows: int) -> float:
    """Peak memory in MB of a search over so many images, in this process."""
    import torch

    from lit_coiba.backbones import Backbone
    from lit_coiba.concepts import CRAFT, NMF

    torch.set_num_threads(1)
    sizes = {"layers": [1, 1, 1, 1], "channels": (8, 16, 32, 256)}
    model = Backbone("resnet18", timm_kwargs=sizes, image_size=64, num_classes=1).eval()
    generator = torch.Generator().manual_seed(0)
    stream = (torch.randn(5, 3, 64, 64, generator=generator) for _ in range(images // 5))
    found = CRAFT(NMF(5), layer="layer4", max_rows=rows).fit(model, stream, cls=0)
    assert found.about.used == images
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100, help="images of the smaller search")
    parser.add_argument("--rows", type=int, default=1000, help="rows that are kept")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(measured(arguments.measure, arguments.rows))
        return
    peaks = []
    for images in (arguments.images, 10 * arguments.images):
        words = [
            sys.executable,
            "-m",
            "benchmarks.concept_memory",
            "--measure",
            str(images),
            "--rows",
            str(arguments.rows),
        ]
        peaks.append(float(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[-1]))
        print(f"{CROPS * images:,} crops: {peaks[-1]:,.0f} MB at most")
    print(f"ratio {peaks[1] / peaks[0]:.3f}")


if __name__ == "__main__":
    main()
