"""The Trainer's verb that finds prototypes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image

from lit_coiba.callbacks import BlockProgress
from lit_coiba.core.errors import InputError
from lit_coiba.data.module import BlockDataModule
from lit_coiba.modules.prototype_search import ChunkedPrototypes, PrototypeSearch
from lit_coiba.pictures.prototype_page import CLASSES, UNITS, draw_pages
from lit_coiba.prototypes import Prototypes
from lit_coiba.prototypes.evaluation import PrototypePatches, evaluate_prototypes
from lit_coiba.prototypes.table import SUMMARY, TABLE, summary, write_summary, write_table
from lit_coiba.store import Manifest
from lit_coiba.store.atomic import atomically, remove_leftovers
from lit_coiba.store.progress import progress_bar
from lit_coiba.trainer.block_trainer import BlockTrainer
from lit_coiba.trainer.identity import check_place, ids_digest, preprocessing_of, provenance

EVALUATION = "evaluation.json"


class PrototypeTrainer(BlockTrainer):
    """Lightning's Trainer with the verb `prototypes`."""

    def prototypes(
        self,
        model: PrototypeSearch,
        datamodule: BlockDataModule,
        output: str,
        split: Literal["train", "val", "test", "predict"] = "train",
        limit: int | None = None,
        pages: int = 10,
        evaluate: bool = False,
    ) -> Prototypes:
        """Find for every unit of a head the training images that it answers to most, and where in them.

        One pass over the images, whose memory does not grow with their number; an image comes once for a unit. The same
        call again goes on where it was stopped. `output` gets the table of patches with crops (prototypes.parquet),
        units that answer to nothing, that no class uses or that show the same as another (prototypes.json), pages of
        the units that can add most to a logit, pages of the classes, and both for TensorBoard.

        Args:
            model: The classifier, and what is looked for.
            datamodule: The images.
            output: Folder for all of it.
            split: Which images: those that the head was trained on, in general.
            limit: Look for prototypes in this many images only, evenly spaced, unless the data's `limit_order` is
                ``first``; None = in all. What `evaluate` measures on is bounded by data.limit instead.
            pages: Pages of ten units to draw, and pages of classes; 0 = none.
            evaluate: Also measure them, see `modules.prototype_evaluation`, on the images that `explain` would take:
                do prototypes stay on one part and show one, how many make an explanation; evaluation.md and .json.

        Returns:
            The prototypes.

        Raises:
            InputError: The folder holds prototypes that were made with other arguments; no image can be read.
        """
        folder = Path(output)
        check_place(folder, "output")
        if pages < 0:
            raise InputError(f"pages is {pages}: give 0 or more")
        if evaluate and split != "train":
            raise InputError(f"evaluate measures prototypes of the training split, and split is {split}: leave one out")
        self._whole_pass("prototypes")
        with _taken_from(datamodule, split), self._explaining(model, datamodule, limit):
            identity = {
                "model": model.network.digest(),
                "patches": model.patches,
                "score": model.score,
                "split": split,
                "preprocessing": preprocessing_of(datamodule),
                "ids": ids_digest(datamodule),
                "samples": len(datamodule.explained),
                "block_size": datamodule.batch_size,
                "precision": str(self.precision),
            }
            manifest = Manifest(identity, provenance(datamodule, type(self.accelerator).__name__, self.num_devices))
            self._on_rank_zero(lambda: _claim(folder, manifest))
            chunks = ChunkedPrototypes(folder / "parts", range(datamodule.total_blocks))
            model.chunks, model.numbers = chunks, {name: k for k, name in enumerate(datamodule.explained.ids)}
            while missing := self._on_rank_zero(lambda: [] if (folder / SUMMARY).exists() else chunks.missing()):
                self._over_blocks(model, datamodule, missing, BlockProgress("Prototypes"), group=chunks.length)
            self._on_rank_zero(lambda: self._write(folder, chunks, model, datamodule, pages))
        if evaluate:
            with self._explaining(model, datamodule, datamodule.limit):
                self._on_rank_zero(lambda: self._evaluate(folder, model, datamodule))
        return Prototypes(folder)

    def _evaluate(self, folder: Path, model: PrototypeSearch, datamodule: BlockDataModule) -> None:
        """Measure the prototypes, unless an earlier call has, on the same images."""
        on = ids_digest(datamodule)
        if (folder / EVALUATION).exists() and json.loads((folder / EVALUATION).read_bytes()).get("ids") == on:
            return
        shown = self.progress_bar_callback is not None and sys.stderr.isatty()
        model.network.to(self.strategy.root_device)
        found = evaluate_prototypes(model.network, datamodule, _patches(Prototypes(folder)), progress=shown)
        told = {"ids": on, **found.to_dict()}
        for entry in (told["part_purity"] or {"each": ()})["each"]:
            unit, negative = divmod(entry.pop("prototype"), 2)
            entry |= {"unit": unit, "side": -1 if negative else 1}
        (folder / EVALUATION).unlink(missing_ok=True)  # of other images: what follows are two files
        with atomically(folder / "evaluation.md") as out:
            out.write(f"{found}\n".encode())
        with atomically(folder / EVALUATION) as out:
            out.write(json.dumps(told, allow_nan=False).encode())

    def _write(
        self, folder: Path, chunks: ChunkedPrototypes, model: PrototypeSearch, datamodule: BlockDataModule, pages: int
    ) -> None:
        """Put together what the chunks hold, and draw it."""
        shown = self.progress_bar_callback is not None and sys.stderr.isatty()
        dataset, transform = datamodule.explained, datamodule.transform
        if not (folder / SUMMARY).exists():
            try:
                found, grid = chunks.merged()
            except FileNotFoundError:
                if (folder / SUMMARY).exists():  # another run into this folder was faster
                    return
                raise
            with progress_bar("Crops", shown) as tell:
                write_table(folder / TABLE, found, grid, dataset, transform, tell=tell)
            named = len(dataset.classes) == model.network.num_classes
            told = summary(found, model.head[0].unit_weights(), dataset.classes if named else [])
            write_summary(folder / SUMMARY, told)  # the last of what is made of the chunks
        chunks.remove()
        prototypes = Prototypes(folder)
        if pages:
            with progress_bar("Pages", shown) as tell:
                draw_pages(prototypes, folder, pages, tell)
        _log(prototypes, folder)


@contextmanager
def _taken_from(datamodule: BlockDataModule, split: Literal["train", "val", "test", "predict"]) -> Iterator[None]:
    """Have the data module run over the samples of a split."""
    given, datamodule.explains = datamodule.explains, split
    try:
        yield
    finally:
        datamodule.explains = given


def _claim(folder: Path, manifest: Manifest) -> None:
    """Write what decides the prototypes, or refuse a folder where that is something else."""
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    with suppress(FileExistsError):
        manifest.save(folder, exclusive=True)
    if told := Manifest.load(folder).told(manifest):
        raise InputError(
            f"output {folder} was made with other arguments (old -> new): {told}; use another folder, or repeat the "
            "original arguments"
        )


def _patches(prototypes: Prototypes) -> PrototypePatches:
    """All patches; the sides of a unit are prototypes of their own."""
    rows = [prototypes.place(row) for row in range(len(prototypes))]
    units = torch.tensor([2 * patch.unit + (patch.side < 0) for patch in rows])
    return PrototypePatches([patch.id for patch in rows], torch.tensor([patch.box for patch in rows]), units)


def _log(prototypes: Prototypes, folder: Path) -> None:
    """Pages as images, counts as scalars; in place of the logs of an earlier call."""
    from torch.utils.tensorboard import SummaryWriter  # takes a second

    for old in (folder / "tensorboard").glob("events.out.tfevents.*"):
        old.unlink()
    with SummaryWriter(str(folder / "tensorboard")) as writer:
        counts = {name: len(prototypes.summary[name]) for name in ("dead", "unused", "duplicate")}
        for name, count in {"units": prototypes.units, **counts}.items():
            writer.add_scalar(f"prototypes/{name}", count, 0)
        for kind in (UNITS, CLASSES):
            for file in sorted((folder / kind).glob("*.png")):
                with Image.open(file) as picture:
                    writer.add_image(f"{kind}/{file.stem}", np.asarray(picture.convert("RGB")), 0, dataformats="HWC")
