"""The magnitude spectrum that comes with the package: measured on a folder of images, and written with its card.

    python -m benchmarks.spectrum IMAGES [--license "..."] [--output spectra/natural_images.safetensors]

IMAGES is any folder of images, such as shared/assets/imagenet-samples/images. What is kept is one profile: the mean
magnitude by frequency for each of three color channels, over all images together.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import PIL
import torch

from lit_coiba.data import ImageFolder
from lit_coiba.feature_visualization import MagnitudeSpectrum

BANDS = ((0.004, 0.05), (0.05, 0.2), (0.2, 0.35), (0.35, 0.5))


def card(spectrum: MagnitudeSpectrum, file: Path, terms: str) -> str:
    """What one wants to know of the file."""
    content = file.read_bytes()
    slopes = {band: spectrum.slope(*band).tolist() for band in BANDS}
    rows = {
        "made by": "`python -m benchmarks.spectrum IMAGES`",
        "images": f"{spectrum.count}, {spectrum.source}",
        "terms of the images": terms,
        "preprocessing": spectrum.preprocessing,
        "content": "geometric mean over rings of the mean magnitude, at k/512 cycles per pixel for k = 1 to 256, of"
        " three decorrelated color channels; no image can be recovered from it",
        **{
            f"slope, {low} to {high} cycles per pixel": ", ".join(f"{value:.2f}" for value in values)
            for (low, high), values in slopes.items()
        },
        "file": f"{file.name}, safetensors, {len(content):,} bytes",
        "SHA-256": f"`{hashlib.sha256(content).hexdigest()}`",
        "versions": f"torch {torch.__version__.partition('+')[0]}, pillow {PIL.__version__}",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return f"# {file.stem}\n\nThe magnitude spectrum of MACO's `spectrum: shipped`.\n\n| | |\n|---|---|\n{table}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", help="folder of the images")
    parser.add_argument("--source", default="", help="what the images are, for the card")
    parser.add_argument("--license", default="not stated", help="terms of the images, for the card")
    parser.add_argument("--output", type=Path, default=Path("spectra/natural_images.safetensors"))
    given = parser.parse_args()
    dataset = ImageFolder(given.images).dataset("predict")
    spectrum = MagnitudeSpectrum.estimate(dataset, source=given.source or given.images).radial()
    spectrum.save(given.output)
    text = card(spectrum, given.output, given.license)
    given.output.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
