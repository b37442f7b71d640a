"""Small runs of every kind that a site is made of, without a model: numbers drawn from a seed that fit together.

python -m tests._testers.explorer_runs FOLDER [CLASSES] [IMAGES]
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lit_coiba.benchmark import Leaderboard
from lit_coiba.files.owned import MARKER
from lit_coiba.store import BlockRecord, ExplanationStore, Manifest
from tests._testers.explorer_concepts import write_concepts
from tests._testers.explorer_pictures import picture
from tests._testers.explorer_units import write_prototypes, write_visualizations

HOSTILE = ("<script>alert(1)</script>", "a\"b'><img src=x onerror=alert(1)>", "</script><u>x", "twin", "twin")
PREPROCESSING = {"mean": [0.5] * 3, "std": [0.5] * 3, "size": [32, 32], "crop_pct": 1.0}
METRICS = {"insertion": True, "deletion": False, "energy": True}


@dataclass(frozen=True)
class World:
    """What all runs of a model agree about.

    Args:
        classes: Number of classes.
        images: Images that the model gives each class; every fourth has the label of the next class.
        names: Names of the first classes; the others are "class 7".
        model: Digest of the weights.
        seed: Seed of all numbers.
        units: Units of the head.
        r: Concepts of a class.
        wrong_every: One image in so many has another label.
    """

    classes: int = 3
    images: int = 4
    names: tuple[str, ...] = HOSTILE
    model: str = "planted"
    seed: int = 0
    units: int = 4
    r: int = 3
    wrong_every: int = 4

    @property
    def class_names(self) -> list[str]:
        return [self.names[k] if k < len(self.names) else f"kind {k}" for k in range(self.classes)]

    def ids(self, cls: int) -> list[str]:
        """Ids of the images that the model gives a class."""
        return [f"{cls:04d}/<u>{number:03d}.png" for number in range(self.images)]

    def labels(self, cls: int) -> list[int]:
        last = self.wrong_every - 1
        return [(cls + (number % self.wrong_every == last)) % self.classes for number in range(self.images)]

    def random(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *key])

    def probabilities(self, cls: int) -> np.ndarray:
        return self.random(1, cls).uniform(0.4, 1, self.images).astype(np.float32)

    def identity(self, **more) -> dict:
        data = {"class": "ImageFolder", "dataset": "ImageFolder"}
        return {"model": self.model, "preprocessing": PREPROCESSING, "data": data, **more}

    def recorded(self) -> dict:
        return {"model": "resnet<i>18", "class_names": self.class_names, "versions": {"lit-coiba": "0.1.0"}}


def write_store(
    folder: Path, world: World, method: str, signed: bool = False, radii: dict[str, float] | None = None
) -> Path:
    """Explanations of the predicted class of every image, a block for each class; with `radii`, certified ones."""
    more = {} if radii is None else {"certified": True}
    about = world.identity(method={"class": method, "steps": 5}, targets="predicted", block_size=world.images, **more)
    store = ExplanationStore.open(folder, Manifest(about, world.recorded()))
    for cls in range(world.classes):
        rows = len(ids := world.ids(cls))
        maps = torch.from_numpy(world.random(2, cls, len(method)).normal(0, 1, (rows, 4, 4)).astype(np.float32))
        probabilities = torch.from_numpy(world.probabilities(cls))
        labels = torch.tensor(world.labels(cls))
        targets = torch.full((rows,), cls)
        extras = {} if radii is None else {"radius": torch.tensor([radii[name] for name in ids])}
        store.write(
            BlockRecord(cls, tuple(ids), targets, labels, probabilities, maps if signed else maps.abs(), extras)
        )
    store.compact()
    return folder


def write_benchmark(folder: Path, world: World, methods: tuple[str, ...]) -> Path:
    """Scores of every explanation by three metrics."""
    keys = sorted((name, cls) for cls in range(world.classes) for name in world.ids(cls))
    scores: dict[str, dict[str, torch.Tensor]] = {}
    for number, method in enumerate(methods):
        values = world.random(3, number).uniform(0, 1, (len(METRICS), len(keys)))
        scores[method] = dict(zip(METRICS, torch.from_numpy(values)))
        about = world.identity(**{"scores of": {"class": method}, "metrics": dict.fromkeys(METRICS)})
        store = ExplanationStore.open(folder / method, Manifest(about, world.recorded()))
        step = world.images
        for block, start in enumerate(range(0, len(keys), step)):
            part = keys[start : start + step]
            rows = {name: torch.from_numpy(row[start : start + step]) for name, row in zip(METRICS, values)}
            targets = torch.tensor([target for _, target in part])
            ids = tuple(name for name, _ in part)
            empty = torch.zeros(len(part), 0, 0)
            store.write(BlockRecord(block, ids, targets, targets, targets / 1e4, empty, rows))
        store.compact()
    Leaderboard(scores, methods[0], higher=METRICS, keys=keys).save(folder)
    (folder / MARKER).write_text(json.dumps({"made by": "benchmark"}))
    return folder


def write_images(folder: Path, world: World) -> Path:
    """The pictures themselves, as a folder of images."""
    for cls in range(world.classes):
        for number, name in enumerate(world.ids(cls)):
            (file := folder / name).parent.mkdir(parents=True, exist_ok=True)
            picture(world.random(4, cls, number)).save(file)
    return folder


def write_runs(folder: Path, world: World | None = None) -> list[Path]:
    """One run of each kind; explanations of two methods."""
    world = world or World()
    return [
        write_concepts(folder / "concepts", world),
        write_store(folder / "Saliency", world, "Saliency"),
        write_store(folder / "InputXGradient", world, "InputXGradient", signed=True),
        write_benchmark(folder / "table", world, ("Saliency", "InputXGradient")),
        write_prototypes(folder / "prototypes", world),
        write_visualizations(folder / "visualizations", world),
    ]


if __name__ == "__main__":
    place, *counts = sys.argv[1:]
    made = write_runs(Path(place), World(*map(int, counts)))
    print(*made)
