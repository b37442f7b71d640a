"""Do maps lie on the object? Energy inside bounding boxes against the boxes' share of the area, with intervals.

    python benchmarks/box_energy.py STORE [STORE ...] --root DIR --csv FILE

Each store was made by ``lit-coiba explain`` over the same CSV of files and boxes.
"""

from __future__ import annotations

import argparse

import torch

from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data import ImageFolder
from lit_coiba.data.transforms import Transform
from lit_coiba.functional import Interval, bootstrap_interval, energy_inside, resize_map
from lit_coiba.store import ExplanationStore


def in_boxes(store: ExplanationStore, data: ImageFolder) -> tuple[Interval, Interval]:
    """Mean energy of the maps inside the boxes, and mean share of the area that the boxes cover."""
    dataset = data.dataset("predict")
    index = {name: number for number, name in enumerate(dataset.ids)}
    transform = Transform(Preprocessing(**store.manifest.identity["preprocessing"]))
    energies, areas = [], []
    for row in store:
        region = dataset.region(index[row.id])
        if region is None:
            continue
        region = transform.region(region)[None]
        energies.append(energy_inside(resize_map(row.map[None], region.shape[-2:]), region)[0])
        areas.append(region.double().mean())
    return bootstrap_interval(torch.stack(energies)), bootstrap_interval(torch.stack(areas))


def main() -> None:
    """Print a row per store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stores", nargs="+")
    parser.add_argument("--root", required=True)
    parser.add_argument("--csv", required=True)
    arguments = parser.parse_args()
    data = ImageFolder(arguments.root, csv=arguments.csv)
    print("| store | images | energy inside | 95% | area | 95% |")
    print("|---|---|---|---|---|---|")
    for path in arguments.stores:
        store = ExplanationStore(path)
        energy, area = in_boxes(store, data)
        print(
            f"| {path} | {len(store)} | {energy.mean:.3f} | {energy.low:.3f} to {energy.high:.3f}"
            f" | {area.mean:.3f} | {area.low:.3f} to {area.high:.3f} |"
        )


if __name__ == "__main__":
    main()
