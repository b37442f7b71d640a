"""How sure models are of the label of each image as a cell of a grid shows it, and the file where that is kept."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Literal, TypedDict

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.frozen import frozen
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.core.printable import printable
from lit_coiba.data.blocks import BlockDataset
from lit_coiba.data.class_order import in_order_of
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.fingerprint import fingerprint_of
from lit_coiba.files.atomic import atomically
from lit_coiba.files.given_path import given_path
from lit_coiba.files.json_text import read_json

Cells = Literal["grow", "shrink"]

POOL_LIMIT = 1 << 30  # bytes of a pool file; 20 for each model and image


def confidences(network: Any, images: ImageDataset, n: int, cells: Cells, batch_size: int = 8) -> list[float]:
    """Probability of the label of each image where that is the most probable class, else 0; once over all images.

    ``grow``: the cell alone is the model's input. ``shrink``: the model sees it in a grid that is empty otherwise, at
    each of the places, and the least is what counts. 0 is also what cannot be read or has no label.

    Args:
        network: The model, built for the whole grid.
        images: The images.
        n: Cells per side.
        cells: How a cell is shown.
        batch_size: Images that run at a time.
    """
    samples = in_order_of(images, network)
    blocks = BlockDataset(samples, cell_recipe(network.preprocessing, n), batch_size)
    own, run = next(network.parameters()), getattr(network.model, "alone", network) if cells == "grow" else network
    found = dict.fromkeys(samples.ids, 0.0)
    with frozen(network), torch.no_grad():
        for block in (blocks[k] for k in range(len(blocks))):
            if not len(block.images):
                continue
            shown = block.images.to(own.device, own.dtype)
            labels = block.labels.to(own.device)
            seen = [_sure(run(given), labels) for given in _inputs(shown, n, cells)]
            found.update(zip(block.ids, torch.stack(seen).amin(0).tolist()))
    return list(found.values())


def cell_recipe(recipe: Preprocessing, n: int) -> Preprocessing:
    """How a picture becomes a cell: as the model wants its pictures, at 1/n of its size."""
    return replace(recipe, size=(recipe.size[0] // n, recipe.size[1] // n))


def _inputs(shown: Tensor, n: int, cells: Cells) -> list[Tensor]:
    """What the model is run on for cells ``(B, 3, h, w)``; what is empty is 0, the mean color."""
    if cells == "grow":
        return [shown]
    height, width = shown.shape[-2:]
    grids = []
    for row, column in ((row, column) for row in range(n) for column in range(n)):
        grid = shown.new_zeros(*shown.shape[:2], n * height, n * width)
        grid[..., row * height : (row + 1) * height, column * width : (column + 1) * width] = shown
        grids.append(grid)
    return grids


def _sure(logits: Tensor, labels: Tensor) -> Tensor:
    """Probability of the labels ``(B,)`` where they are the most probable class, else 0."""
    probability, predicted = logits.double().softmax(-1).max(-1)
    return torch.where(predicted == labels, probability, 0.0)


class Kept(TypedDict):
    """What a pool file says."""

    images: str  # digest of the images, with their labels
    n: int
    cells: Cells
    models: dict[str, list[float]]  # what a model is known by -> confidence in each image


class PoolFile:
    """Confidences of models in the same images, as JSON: grids are drawn from what all of them pass.

    Args:
        path: The file; None = nothing is kept, and only the model at hand counts.
        images: The images.
        n: Cells per side.
        cells: How a cell is shown.
    """

    def __init__(self, path: str | None, images: ImageDataset, n: int, cells: Cells) -> None:
        self.path = None if path is None else given_path(path, "pool")
        self.count = len(images)
        digest = fingerprint_of(images).digest(labels=True) if path is not None else ""
        self.kept = Kept(images=digest, n=n, cells=cells, models={})

    def read(self) -> dict[str, list[float]]:
        """Model -> confidence in each image; none where there is no file yet.

        Raises:
            InputError: The file cannot be read, or is of other images or cells.
        """
        if self.path is None or not self.path.exists():
            return {}
        found: Kept = read_json(self.path, Kept, "pool", POOL_LIMIT)
        same = {**found, "models": {}} == {**self.kept, "models": {}}
        if not same or any(len(values) != self.count for values in found["models"].values()):
            raise InputError(
                f"pool: {printable(self.path, 200)} is of other images, or of cells of another kind or number: give"
                " another file"
            )
        return found["models"]

    def write(self, models: dict[str, list[float]]) -> None:
        """Keep the confidences of all models."""
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomically(self.path) as out:
            out.write(json.dumps({**self.kept, "models": models}).encode())


def key_of(network: Any) -> str:
    """What a model's confidences depend on, beside the images: its digest and its recipe."""
    return json.dumps([network.digest(), network.preprocessing.identity()])
