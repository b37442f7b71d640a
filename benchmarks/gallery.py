"""The picture of all methods: photographs with EfficientNet-Lite0, and a generated object with the shipped models.

    python benchmarks/gallery.py docs/images/methods.png

Perturbation methods run with the evaluations of `FEWER` in _methods.py.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import torch
from _methods import changes, configured, files
from torch import Tensor

from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.data.synthetic_parts import SyntheticParts
from lit_coiba.data.transforms import Transform
from lit_coiba.demo.photographs import CropDataset, efficientnet_lite0, photograph
from lit_coiba.pictures.gallery import gallery
from lit_coiba.resources import resource

PHOTOGRAPHS = ("chelsea", "coffee", "rocket")
OBJECT = 7  # of the test images of SyntheticParts
SEEN = 64  # images for activation statistics


def explained(file: str, model: Backbone, images: Tensor, seen: Tensor) -> list[Tensor | None]:
    """Maps of the images by the method of ``configs/method/FILE.yaml``; None where it cannot explain the model."""
    try:
        method = configured(file, changes(file, images.shape[-1]))
        method.prepare(model.eval(), seen)
        return list(method.attribute(model, images))
    except InputError as error:
        print(f"{file}: {error}")
        return [None] * len(images)


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--methods", nargs="*", default=[], help="names of files in configs/method; default all")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", "(activation statistics|.*survive pure noise)")
    torch.set_grad_enabled(False)
    photographs = efficientnet_lite0()
    transform = Transform(photographs.preprocessing)
    crops, parts = CropDataset(), SyntheticParts().dataset("test")
    models: list[tuple[Backbone, Tensor, Tensor]] = [
        (
            photographs,
            torch.stack([transform(photograph(name)) for name in PHOTOGRAPHS]),
            torch.stack([transform(crops.image(i)) for i in range(SEEN)]),
        )
    ]
    for name in ("synthetic_parts_cnn", "synthetic_parts_vit"):
        model = Backbone.load(resource(f"checkpoints/{name}.safetensors"))
        transform = Transform(model.preprocessing)
        seen = torch.stack([transform(parts.image(100 + i)) for i in range(SEEN)])
        models.append((model, transform(parts.image(OBJECT))[None], seen))
    pictures = [
        (model.denormalize(image) * 255).round().clamp(0, 255).to(torch.uint8)
        for model, images, _ in models
        for image in images
    ]
    maps: dict[str, list[Tensor | None]] = {}
    for file in files(arguments.methods):
        maps[file] = [map for model in models for map in explained(file, *model)]
        print(file, flush=True)
    gallery(pictures, [*PHOTOGRAPHS, "parts, CNN", "parts, ViT"], maps, arguments.file)
    print(f"The gallery is {arguments.file}")


if __name__ == "__main__":
    main()
