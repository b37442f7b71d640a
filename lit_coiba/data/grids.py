"""Grids of images of distinct classes, each of whose cells is explained: what GridPG is measured on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lit_coiba.core.errors import InputError, check_choice, check_count
from lit_coiba.core.printable import counted
from lit_coiba.data.class_order import in_order_of
from lit_coiba.data.confidences import Cells, PoolFile, cell_recipe, confidences, key_of
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.grid_cells import GridCells, drawn_grids
from lit_coiba.data.module import BlockDataModule, Split
from lit_coiba.data.passes import BatchSize
from lit_coiba.data.subset import LimitOrder, limited
from lit_coiba.data.transforms import Transform

RELAXED = (0.9, 0.5)  # thresholds after the first, where it leaves too few images


class Grids(BlockDataModule):
    """n x n images of distinct classes side by side, each sample one cell of one grid: explain it for its label.

    Rao, Boehle and Schiele, "Towards Better Understanding Attribution Methods", 2022 (arXiv 2205.10435), with
    `GridPointing`. The images are those of another data module whose label is the model's prediction with at least a
    probability as the cell is shown; none is used twice. Which passed, and at which threshold, is printed.

    The model is built for the whole grid (`image_size`), and a cell is 1/n of it. Never mix the two kinds of cells in
    one table:

    - ``grow``: cells have the size of pictures that the model is used to, and its `image_size` is n times that. For
      CNNs with global pooling, and transformers that take any size (``dynamic_img_size``).
    - ``shrink``: the model keeps its size, and each picture is shrunk. For transformers of a fixed size; a cell must be
      a multiple of their patches.

    The other arguments are those of `BlockDataModule`.

    Args:
        source: Data with labels; its `limit` bounds how many images are tried.
        n: Cells per side.
        cells: What a cell is, ``grow`` or ``shrink``.
        grids: Number of grids at most.
        threshold: Least probability of an image's label; where fewer grids can be drawn than asked for, it is relaxed
            to 0.9 and to 0.5.
        seed: Seed of the draw.
        places: Numbers of the cells of each grid that are explained, in reading order; None = all. A network of
            `lit_coiba.backbones.di_full` or `di_part` has the logits of one cell.
        same_class: Whether the first and the last cell of a grid have the same class, as the authors' grids for
            `di_full`; all others are distinct. Not for a network that sees the whole grid.
        pool: JSON file where the confidences are kept, so that they are measured once; with those of several models in
            it, an image has to pass for each of them. None = they are measured in each run.
        limit: Number of cells to explain; n * n of them are a grid.
        limit_order: ``first`` = those of the first grids; ``spread`` = evenly spaced over all.

    Raises:
        InputError: An argument is out of its range.
    """

    excluded_from_identity = BlockDataModule.excluded_from_identity | {"source", "grids", "pool"}

    def __init__(
        self,
        source: BlockDataModule,
        n: int = 2,
        cells: Cells = "grow",
        grids: int = 500,
        threshold: float = 0.99,
        seed: int = 42,
        places: list[int] | None = None,
        same_class: bool = False,
        pool: str | None = None,
        batch_size: BatchSize = 8,
        num_workers: int | None = None,
        limit: int | None = None,
        limit_order: LimitOrder = "first",
    ) -> None:
        super().__init__(batch_size, num_workers, limit, limit_order)
        check_count(2, n=n)
        check_count(grids=grids)
        check_choice(cells, Cells, "cells")
        if not isinstance(source, BlockDataModule):
            raise InputError(f"source is of type {type(source).__name__}: give a data module, such as ImageFolder")
        if not 0 < threshold <= 1:
            raise InputError(f"threshold is {threshold}: give a probability, above 0 and at most 1")
        if places is not None and (not places or not all(0 <= place < n * n for place in places)):
            raise InputError(f"places is {places}: give numbers of cells, 0 to {n * n - 1}, or null for all")
        self.source = source
        self.n = n
        self.cells = cells
        self.grids = grids
        self.threshold = threshold
        self.seed = seed
        self.places = places
        self.same_class = same_class
        self.pool = pool
        self._drawn: dict[str, GridCells] = {}  # by what the model is known by

    def dataset(self, split: Split) -> ImageDataset:
        """The cells of all grids, drawn for the model of the Trainer or of `draw`; only ``predict`` has any.

        Raises:
            InputError: There is no model yet, it cannot be shown such cells, or too few images pass.
        """
        if split != "predict":
            raise InputError(f"grids are there to be explained, and have no split {split}: fit and test on the source")
        if self._network is None:
            if self._drawn:
                return next(reversed(self._drawn.values()))
            raise InputError("grids are drawn for a model: run explain or benchmark, or call draw(model)")
        if self.trainer is not None:
            self._network.to(self.trainer.strategy.root_device)
        return self.draw(self._network)

    def draw(self, network: Any) -> GridCells:
        """The cells of all grids for a model, as in `explain`: measures its confidences where they are not known.

        Args:
            network: The model, built for the whole grid.

        Raises:
            InputError: It cannot be shown such cells, or too few images pass.
        """
        key = key_of(network)
        if key not in self._drawn:
            check_cells(network, self.n, self.cells)
            self.source.model_classes = network.num_classes
            images = limited(self.source.dataset("predict"), self.source.limit, self.source.limit_order)
            grids = self._on_first_process(lambda: self._grids_of(network, key, images))
            cell = Transform(cell_recipe(network.preprocessing, self.n))
            self._drawn[key] = GridCells(in_order_of(images, network), grids, self.n, cell, self.places)
        return self._drawn[key]

    @property
    def num_classes(self) -> int | None:
        """Number of classes of the source."""
        return self.source.num_classes

    @property
    def transform(self) -> Transform:
        """A grid is the model's input as it is, neither resized nor cropped."""
        return Transform(replace(super().transform.preprocessing, crop_pct=1.0, crop_mode="center"))

    def identity(self) -> dict[str, Any]:
        """What decides the grids beside the images in them, with what decides those."""
        return {**super().identity(), "source": self.source.identity()}

    def _grids_of(self, network: Any, key: str, images: ImageDataset) -> list[list[int]]:
        """Numbers of the images of each grid; says which passed."""
        pool = PoolFile(self.pool, images, self.n, self.cells)
        if key not in (models := pool.read()):
            batch_size = 8 if self.batch_size == "auto" else self.batch_size  # nothing has chosen one yet
            models[key] = confidences(network, images, self.n, self.cells, batch_size)
            pool.write(models)
        labels = in_order_of(images, network).labels
        least = [min(values) for values in zip(*models.values())]
        for threshold in (self.threshold, *(level for level in RELAXED if level < self.threshold)):
            passed = [number for number, sure in enumerate(least) if sure >= threshold]
            grids = drawn_grids(labels, passed, self.n**2, self.grids, self.seed, self.same_class)
            if len(grids) == self.grids:
                break
        told = f"{len(passed):,} of {len(images):,} images have their label predicted with {threshold} or more"
        if not grids:
            classes = len({labels[number] for number in passed})
            raise InputError(
                f"a grid of {self.n} x {self.n} needs images of {self.n**2 - self.same_class} classes, but {told}, of"
                f" {counted(classes, 'class', 'classes')}: give more images, or a smaller n"
            )
        size = " x ".join(str(side) for side in cell_recipe(network.preprocessing, self.n).size)
        every = f" by each of {len(models)} models" if len(models) > 1 else ""
        print(
            f"Grids: {told}{every} as cells of {size} pixels ({self.cells}):"
            f" {counted(len(grids), 'grid')} of {self.n} x {self.n}, seed {self.seed}",
            file=sys.stderr,
            flush=True,
        )
        return grids

    def _on_first_process(self, find: Callable[[], list[list[int]]]) -> list[list[int]]:
        """What the first of the Trainer's processes finds or raises, for all: numbers may differ between machines."""
        if self.trainer is None or self.trainer.world_size == 1:
            return find()
        result: Any = None
        if self.trainer.is_global_zero:
            try:
                result = find()
            except Exception as raised:  # of all processes, or the others would wait for ever
                result = raised
        result = self.trainer.strategy.broadcast(result)
        if isinstance(result, Exception):
            vars(result)["told"] = not self.trainer.is_global_zero  # by the first process, and need not be again
            raise result
        return list(result)


def check_cells(network: Any, n: int, cells: Cells) -> None:
    """Refuse grids that a model cannot be shown.

    Args:
        network: The model.
        n: Cells per side.
        cells: What a cell is.

    Raises:
        InputError: Cells would be cut or share a patch, or the model is not built for them.
    """
    height, width = network.preprocessing.size
    embedding = getattr(network.model, "patch_embed", None)
    patch = getattr(embedding, "patch_size", None) or (1, 1)
    tall, wide = (patch, patch) if isinstance(patch, int) else patch
    fits = [k for k in range(2, 9) if height % (k * tall) == 0 and width % (k * wide) == 0]
    if height % (n * tall) or width % (n * wide):
        shared = f"would share its patches of {tall} x {wide}" if tall * wide > 1 else "are no whole pixels"
        remedy = f"choose n {', '.join(map(str, fits))}, or " if fits else ""
        raise InputError(
            f"n is {n}, but {n} x {n} cells of the model's {height} x {width} pixels {shared}: {remedy}set another"
            " image_size"
        )
    if cells == "shrink":
        return
    own = height // n
    if getattr(embedding, "strict_img_size", False) and not getattr(network.model, "dynamic_img_size", False):
        raise InputError(
            "cells is grow, but the model takes images of one size: set cells to shrink, or build it with timm_kwargs"
            " dynamic_img_size true"
        )
    if network.arguments and network.arguments.get("image_size") is None:
        raise InputError(
            f"cells is grow, but the model's image_size is its own, so that cells would have {own} x {width // n}"
            f" pixels: set image_size to {height * n}, or cells to shrink"
        )
