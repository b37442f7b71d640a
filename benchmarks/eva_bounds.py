"""How sound, how tight and how fast are the verified bounds behind EVA? On a small network and on the shipped CNN.

    python benchmarks/eva_bounds.py [--draws N] [--images N]

Overlap is the upper bound of the best other logit minus that of the class, over the ball: lower is tighter.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor, nn

from lit_coiba.backbones import Backbone
from lit_coiba.bounds import Bound, Box, Form, overlap, trace, upper_bounds
from lit_coiba.core.targets import Class, Resolved
from lit_coiba.data import SyntheticParts
from lit_coiba.data.transforms import Transform
from lit_coiba.resources import resource

BOUNDS: tuple[Bound, ...] = ("ibp", "crown_ibp", "crown")
FORMS: tuple[Form, ...] = ("independent", "margin")


def small() -> nn.Module:
    """Random weights: a convolution, max pooling and two dense layers on 8 x 8 pixels."""
    generator = torch.Generator().manual_seed(0)
    layers = nn.Sequential(
        *(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(128, 32), nn.ReLU(), nn.Linear(32, 10)),
    )
    for parameter in layers.parameters():
        deviation = parameter[0].numel() ** -0.5 if parameter.dim() > 1 else 0.1
        nn.init.normal_(parameter, 0, deviation, generator=generator)
    return layers.double().eval()


def tightness(model: nn.Module, images: Tensor, targets: Resolved, radii: list[float], bounds: tuple) -> None:
    """Print a row per radius, bound and form."""
    program = trace(model, dtype=torch.float64)
    print("| radius | bound | form | mean overlap | s per box |")
    print("|---|---|---|---|---|")
    for radius in radii:
        for bound in bounds:
            for form in FORMS:
                start = time.perf_counter()
                found = overlap(program, Box.around(images, radius), targets, bound, form)
                spent = (time.perf_counter() - start) / len(images)
                print(f"| {radius:g} | {bound} | {form} | {found.mean():.3f} | {spent:.4f} |", flush=True)


def violations(model: nn.Module, images: Tensor, radius: float, draws: int) -> dict[Bound, int]:
    """Of how many drawn perturbations some logit lies outside its bounds."""
    program, found = trace(model, dtype=torch.float64), dict.fromkeys(BOUNDS, 0)
    generator = torch.Generator().manual_seed(1)
    for image in images:
        box, shape = Box.around(image[None], radius), (draws // len(images), *image.shape)
        shift = 2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1
        shift[::2] = shift[::2].sign()  # half of them are corners
        logits = torch.cat([model(image + radius * part) for part in shift.split(10_000)])
        values = torch.cat([logits, -logits], 1)
        rows = torch.cat([torch.eye(logits.shape[1]), -torch.eye(logits.shape[1])]).double()
        for bound in BOUNDS:
            limits = upper_bounds(program, box, rows[None], bound)
            found[bound] += int((values > limits + 1e-9).any(1).sum())
    return found


@torch.no_grad()
def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=100_000, help="perturbations of the small network's inputs")
    parser.add_argument("--images", type=int, default=4, help="pictures of SyntheticParts")
    arguments = parser.parse_args()
    model = small()
    images = torch.randn(10, 1, 8, 8, generator=torch.Generator().manual_seed(2)).double()
    for radius in (0.01, 0.1):
        found = ", ".join(f"{bound} {n}" for bound, n in violations(model, images, radius, arguments.draws).items())
        print(f"violations in {arguments.draws} draws at radius {radius}: {found}", flush=True)
    print("\nSmall network\n")
    tightness(model, images, Class().resolve(model(images)), [0.001, 0.01, 0.1], BOUNDS)
    network = Backbone.load(resource("checkpoints/synthetic_parts_cnn.safetensors")).double().eval()
    data = SyntheticParts().drawn("test")
    transform = Transform(network.preprocessing)
    pictures = torch.stack([transform(data.image(index)) for index in range(arguments.images)]).double()
    print("\nShipped CNN of SyntheticParts (full CROWN has a row per neuron: left out)\n")
    labels = torch.tensor(data.labels[: arguments.images])
    tightness(network, pictures, Class("label").resolve(network(pictures), labels), [1e-10, 1e-9, 1e-8], BOUNDS[:2])


if __name__ == "__main__":
    main()
