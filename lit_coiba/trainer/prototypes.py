"""What `Trainer.prototypes` does: the strongest patches of a head's units as a table, pages and measures."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from pathlib import Path
from typing import Any

import torch

from lit_coiba.callbacks import BlockProgress
from lit_coiba.core.errors import InputError, check_count, warn
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.module import BlockDataModule, Split
from lit_coiba.files.atomic import atomically
from lit_coiba.files.digests import is_file_sealed, is_sealed, seal_of_file, sealed, warn_undigested
from lit_coiba.files.json_text import read_json
from lit_coiba.files.owned import begins, check_own_file, has_keys
from lit_coiba.files.regular import is_regular
from lit_coiba.modules.prototype_search import ChunkedPrototypes, PrototypeSearch
from lit_coiba.pictures.names import Names
from lit_coiba.pictures.page_folder import check_pages
from lit_coiba.pictures.prototype_page import CLASSES, UNITS, draw_pages
from lit_coiba.prototypes import Prototypes
from lit_coiba.prototypes.evaluation import PrototypePatches, evaluate_prototypes
from lit_coiba.prototypes.table import SUMMARY, TABLE, relabel_table, summary, write_summary, write_table
from lit_coiba.store import Manifest
from lit_coiba.store.folder import is_store
from lit_coiba.store.progress import progress_bar
from lit_coiba.trainer.block_run import BlockRun
from lit_coiba.trainer.changes import IfChanged, claim_results
from lit_coiba.trainer.costs import searching
from lit_coiba.trainer.event_log import add_picture, event_log
from lit_coiba.trainer.identity import data_identity, prototypes_identity
from lit_coiba.trainer.places import place_of
from lit_coiba.trainer.provenance import provenance

EVALUATION, PAGE, PARTS = "evaluation.json", "evaluation.md", "parts"
_PAGE_SEAL = "page"  # of the page, in the evaluation
_FILES = {  # that are replaced, and how they are told from others'
    TABLE: begins("PAR1"),
    SUMMARY: has_keys("units", "sides"),
    EVALUATION: has_keys("images", "units"),
    PAGE: begins("| measure |"),
}


def check_prototypes_arguments(
    output: str | os.PathLike[str], split: Split, pages: int, evaluate: bool, data: BlockDataModule
) -> Path:
    """The folder for the results; what prototypes cannot be searched with is refused.

    Raises:
        InputError: A folder that cannot be written or has others' files in it, a negative number of pages, or an
            evaluation on other images.
    """
    folder = place_of(output, "output", data, is_store)
    for name, ours in _FILES.items():
        check_own_file(folder / name, "output", ours)
    for kind in (UNITS, CLASSES) if pages else ():
        check_pages(folder / kind)
    check_count(0, pages=pages)
    if evaluate and split != "train":
        raise InputError(
            f"evaluate measures prototypes of the training split, but split is {split}: leave out evaluate or split"
        )
    return folder


def search_prototypes(
    run: BlockRun[PrototypeSearch], folder: Path, pages: int, if_changed: IfChanged = "refuse"
) -> None:
    """Find the prototypes among the images of a run, and draw them.

    Args:
        run: The run.
        folder: Folder for the table, the summary and the pages.
        pages: Number of pages of units, and of classes.
        if_changed: What is done with prototypes of other images or other weights.
    """
    run.check_whole_pass("prototypes")
    manifest, now = Manifest(prototypes_identity(run), provenance(run)), run.fingerprint()
    run.on_rank_zero(lambda: claim_results(folder, manifest, now, if_changed, _forget))
    run.on_rank_zero(lambda: _discard_damaged(folder))
    chunks = ChunkedPrototypes(folder / PARTS, range(run.datamodule.total_blocks))
    run.model.chunks, run.model.numbers = chunks, {name: k for k, name in enumerate(run.images.ids)}
    while missing := run.on_rank_zero(lambda: [] if (folder / SUMMARY).exists() else chunks.missing()):
        progress = BlockProgress("Prototypes", searching(run, missing))
        run.over_blocks(run.model, missing, progress, blocks_per_process=chunks.length)
    run.on_rank_zero(lambda: _write(run, folder, chunks, pages))


def measure_prototypes(run: BlockRun[PrototypeSearch], folder: Path) -> None:
    """Measure the prototypes in a folder on the images of a run, unless an earlier call has."""
    run.on_rank_zero(lambda: _measure(run, folder))


def _forget(folder: Path) -> None:
    """Remove what was made of other images or weights, the sign that it is whole first."""
    (folder / SUMMARY).unlink(missing_ok=True)
    ChunkedPrototypes(folder / PARTS, [0]).remove()
    for name in (TABLE, EVALUATION, PAGE):
        (folder / name).unlink(missing_ok=True)


def _refresh(folder: Path, images: ImageDataset, classes: list[str]) -> None:
    """Bring labels and class names, which the search does not depend on, up to date."""
    there = Prototypes(folder)
    relabeled = relabel_table(folder / TABLE, dict(zip(images.ids, images.labels)))
    if relabeled or there.classes != classes:
        write_summary(folder / SUMMARY, {**there.summary, "classes": classes})


def _discard_damaged(folder: Path) -> None:
    """Remove the sign that prototypes are whole where they are not, so that they are made again."""
    if not (folder / SUMMARY).exists():
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Prototypes(folder)
    except InputError as error:
        warn(f"{error}: they are made again", stacklevel=2)
        for name in (SUMMARY, EVALUATION, PAGE):
            (folder / name).unlink(missing_ok=True)


def _write(run: BlockRun[PrototypeSearch], folder: Path, chunks: ChunkedPrototypes, pages: int) -> None:
    """Put together what the chunks hold, and draw it."""
    network = run.model.network
    classes = list(Names.of(run.images.classes, network.class_names, network.num_classes).classes)
    if (folder / SUMMARY).exists():
        _refresh(folder, run.images, classes)
    else:
        try:
            found, grid = chunks.merged()
        except FileNotFoundError:
            if (folder / SUMMARY).exists():  # another run into this folder was faster
                return
            raise
        with progress_bar("Crops", run.shows_progress) as report:
            write_table(folder / TABLE, found, grid, run.images, run.datamodule.transform, tell=report)
        units = summary(found, run.model.head[0].unit_weights(), classes)
        write_summary(folder / SUMMARY, units)  # the last of what is made of the chunks
    chunks.remove()
    prototypes = Prototypes(folder)
    if pages:
        with progress_bar("Pages", run.shows_progress) as report:
            draw_pages(prototypes, folder, pages, report)
    _log(prototypes, folder)


def _measure(run: BlockRun[PrototypeSearch], folder: Path) -> None:
    measured_on = _measured_on(run, Prototypes(folder))
    if _measured(folder, measured_on):
        return
    run.to_device()
    patches = _patches(Prototypes(folder))
    found = evaluate_prototypes(run.model.network, run.datamodule, patches, progress=run.shows_progress)
    scores = {"of": measured_on, **found.to_dict()}
    for entry in (scores["part_purity"] or {"each": ()})["each"]:
        unit, negative = divmod(entry.pop("prototype"), 2)
        entry |= {"unit": unit, "side": -1 if negative else 1}
    with atomically(folder / PAGE) as out:  # the other file is the last: a rerun goes by what it says
        out.write(f"{found}\n".encode())
    content = sealed({**scores, _PAGE_SEAL: seal_of_file(folder / PAGE)})
    with atomically(folder / EVALUATION) as out:
        out.write(json.dumps(content, allow_nan=False).encode())


def _measured(folder: Path, measured_on: str) -> bool:
    """Whether an earlier call has measured on these images, and what it wrote is whole."""
    try:
        told: dict[str, Any] = read_json(folder / EVALUATION, dict[str, Any], "evaluation")
        if told.get("of") != measured_on or is_sealed(told) is False:
            return False
        if is_sealed(told) is None:
            warn_undigested(folder / EVALUATION, "remove it to measure again")
            return is_regular(folder / PAGE)
        return is_file_sealed(folder / PAGE, told.get(_PAGE_SEAL))
    except (InputError, OSError):
        return False


def _measured_on(run: BlockRun[PrototypeSearch], prototypes: Prototypes) -> str:
    """Digest of the prototypes, and of images with labels, regions and parts, on which they are measured."""
    images = run.images
    samples = run.fingerprint().with_regions(images).digest(labels=True)
    parts = [
        [part.names, part.xy.tolist(), part.visible.tolist()] for part in map(images.parts, range(len(images))) if part
    ]
    told = [prototypes.digest(), samples, data_identity(run), parts, run.ids_digest]
    return hashlib.sha256(json.dumps(told, default=str).encode()).hexdigest()


def _points(images: ImageDataset, index: int) -> Any:
    """The parts of a sample as plain values; None where they are not known."""
    try:
        parts = images.parts(index)
    except Exception as error:  # whatever a user's dataset raises: the evaluation says so where it needs them
        return type(error).__name__
    return None if parts is None else [parts.names, parts.xy.tolist(), parts.visible.tolist()]


def _patches(prototypes: Prototypes) -> PrototypePatches:
    """All patches; the sides of a unit are prototypes of their own."""
    rows = [prototypes.place(row) for row in range(len(prototypes))]
    units = torch.tensor([2 * patch.unit + (patch.side < 0) for patch in rows])
    return PrototypePatches([patch.id for patch in rows], torch.tensor([patch.box for patch in rows]), units)


def _log(prototypes: Prototypes, folder: Path) -> None:
    """Pages as images, counts as scalars."""
    with event_log(folder) as writer:
        _add(writer, prototypes, folder)


def _add(writer: Any, prototypes: Prototypes, folder: Path) -> None:
    """The counts and the pages."""
    counts = {name: len(prototypes.summary[name]) for name in ("dead", "unused", "duplicate")}
    for name, count in {"units": prototypes.units, **counts}.items():
        writer.add_scalar(f"prototypes/{name}", count, 0)
    for kind in (UNITS, CLASSES):
        for file in sorted((folder / kind).glob("*.png")):
            add_picture(writer, f"{kind}/{file.stem}", file)
