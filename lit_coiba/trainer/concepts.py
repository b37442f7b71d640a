"""What `Trainer.concepts` does: concepts of every class of a model, class by class, by as many processes as run."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from lit_coiba.callbacks import BlockProgress
from lit_coiba.concepts.additive_head import AdditiveHead, additive_head
from lit_coiba.concepts.concept_run import CLASSES, PREDICTED, PREDICTIONS, VERB, ConceptRun, read_table
from lit_coiba.concepts.importance import check_design
from lit_coiba.core.errors import InputError, warn
from lit_coiba.core.frozen import frozen
from lit_coiba.core.near_names import near_names
from lit_coiba.core.printable import counted, printable
from lit_coiba.data.module import BlockDataModule, Pass, Split
from lit_coiba.files.atomic import atomically
from lit_coiba.files.held import free
from lit_coiba.modules.class_folder import write_class
from lit_coiba.modules.concept_search import ChunkedPredictions, ConceptSearch
from lit_coiba.store import Manifest
from lit_coiba.trainer.block_run import BlockRun
from lit_coiba.trainer.changes import IfChanged, claim_results
from lit_coiba.trainer.identity import concepts_identity
from lit_coiba.trainer.places import place_of
from lit_coiba.trainer.provenance import provenance

PARTS = "parts"
_WAIT = 0.5  # seconds between two looks at classes that other processes have in hand


class ConceptVerb:
    """The verb `concepts` of the Trainer."""

    def concepts(
        self: Any,
        model: ConceptSearch,
        datamodule: BlockDataModule,
        output: str,
        split: Split = "train",
        limit: int | None = None,
        classes: list[int | str] | None = None,
        if_changed: IfChanged = "refuse",
    ) -> ConceptRun:
        """Find the concepts of every class of a model by CRAFT, and test whether they matter.

        Fel et al., CVPR 2023 (arXiv 2211.10154). One pass predicts all images. Then, class by class, images that the
        model gives the class are cut into crops, whose activations are factorized; each concept gets its importance
        (total Sobol index), its signed share of the logit, what the logit does when the concept is deleted, kept alone
        or raised, with intervals, its strongest crops, and its stability. The same call again continues a stopped run:
        classes that are finished are not done again. Several processes share the classes, those of `trainer.devices`
        and any others that are started with the same folder.

        Args:
            model: The classifier, and the settings of the search.
            datamodule: The images.
            output: Folder for all results; read it by `ConceptRun`, or make pages of it by ``lit-coiba explorer``.
            split: Split to take images from.
            limit: Number of images, evenly spaced, unless the data's `limit_order` is ``first``; None = all.
            classes: Numbers or names of the classes to do; None = all that the model gives an image.
            if_changed: What to do if pictures or weights have changed since the results in `output` were made:
                ``refuse``, naming one of them, or ``recompute`` everything.

        Returns:
            The concepts.

        Raises:
            InputError: The folder has concepts that were made with other arguments, there is no such class, or the
                factorization does not take the layer's activations.
        """
        folder = place_of(output, "output", datamodule, _is_ours)
        check_design(model.n_samples, "jansen")
        with self._over(model, datamodule, Pass(split, limit), folder) as run:
            search_concepts(run, folder, classes, if_changed)
        return ConceptRun(folder)


def search_concepts(
    run: BlockRun[ConceptSearch], folder: Path, classes: Sequence[int | str] | None, if_changed: IfChanged
) -> None:
    """Find the concepts of the classes of a run's model.

    Args:
        run: The run.
        folder: Folder for the results.
        classes: Numbers or names of classes; None = all that the model gives an image.
        if_changed: What is done with concepts of other images or other weights.
    """
    run.check_whole_pass("concepts")
    told = provenance(run)
    names = told["class_names"]
    wanted = None if classes is None else chosen_classes(classes, names, run.model.network.num_classes)
    run.to_device()
    some = _some(run)
    run.model.decide(some)
    manifest, now = Manifest(concepts_identity(run), told), run.fingerprint()
    run.on_rank_zero(lambda: claim_results(folder, manifest, now, if_changed, _forget))
    _predict(run, folder)
    predicted = run.on_rank_zero(lambda: _by_class(run, folder))
    numbers = sorted(predicted) if wanted is None else wanted
    network = run.model.network
    with frozen(network):
        head = additive_head(network, run.model.layer, some.images[:2].to(_device(run)))
    _each_class(run, folder, numbers, predicted, names, head)
    run.trainer.strategy.barrier()


def chosen_classes(given: Sequence[int | str], names: Sequence[str], count: int) -> list[int]:
    """Numbers of classes that are given by number or by name.

    Raises:
        InputError: There is none, or one does not exist or has a name that several have.
    """
    found = set()
    for one in given:
        text = str(one)
        number = int(text) if text.isdecimal() and text.isascii() else None
        if number is None and names.count(text) == 1:
            number = names.index(text)
        if number is None or not 0 <= number < count:
            several = number is None and text in names
            why = f"is the name of {names.count(text)} classes" if several else "does not exist"
            near = near_names(text, names) if why == "does not exist" and number is None else []
            meant = f"did you mean {printable(' or '.join(near), 200)}? Else " if near else ""
            raise InputError(
                f"classes: {printable(text, 80)} {why}: {meant}give names, or numbers from 0 to {count - 1}"
            )
        found.add(number)
    if not found:
        raise InputError("classes is empty: give numbers or names, or leave it out for all")
    return sorted(found)


def _some(run: BlockRun[ConceptSearch]) -> Any:
    """The first block with an image that can be read."""
    for batch in run.datamodule.every_block():
        if len(batch.images):
            return batch
    raise InputError("there are no concepts, since none of the images can be read: check the image files")


def _device(run: BlockRun[ConceptSearch]) -> torch.device:
    device: torch.device = run.trainer.strategy.root_device
    return device


def _predict(run: BlockRun[ConceptSearch], folder: Path) -> None:
    """Predict all images, into a table."""
    chunks = ChunkedPredictions(folder / PARTS, range(run.datamodule.total_blocks))
    run.model.chunks, run.model.numbers = chunks, {name: k for k, name in enumerate(run.images.ids)}
    file = folder / PREDICTED
    while missing := run.on_rank_zero(lambda: [] if file.exists() else chunks.missing()):
        plan = f"predicting {counted(len(run.images), 'image')}, 1 forward each"
        run.over_blocks(run.model, missing, BlockProgress("Predictions", plan), blocks_per_process=chunks.length)
    run.on_rank_zero(lambda: _write_predictions(run, file, chunks))


def _write_predictions(run: BlockRun[ConceptSearch], file: Path, chunks: ChunkedPredictions) -> None:
    if not file.exists():
        try:
            told = chunks.merged()
        except FileNotFoundError:
            if file.exists():  # another run into this folder was faster
                return
            raise
        order = told["sample"].argsort()
        samples = told["sample"][order].tolist()
        labels = [run.images.labels[sample] for sample in samples]
        columns = {
            "id": [run.images.ids[sample] for sample in samples],
            "label": [None if label < 0 else label for label in labels],
            **{name: told[name][order].tolist() for name in ("predicted", "probability", "logit")},
        }
        with atomically(file) as out:
            pq.write_table(pa.table(columns, PREDICTIONS), out, compression="zstd")
    chunks.remove()


def _by_class(run: BlockRun[ConceptSearch], folder: Path) -> dict[int, list[int]]:
    """Numbers of the images that the model gives each class."""
    try:
        table = read_table(folder / PREDICTED, PREDICTIONS)
    except InputError as error:
        (folder / PREDICTED).unlink(missing_ok=True)
        raise InputError(f"{error}; the same command makes it anew") from error
    if len(table) < len(run.images):
        warn(f"{counted(len(run.images) - len(table), 'image')} could not be read, and is left out", stacklevel=2)
    found: dict[int, list[int]] = {}
    for name, cls in zip(table["id"].to_pylist(), table["predicted"].to_pylist()):
        found.setdefault(cls, []).append(run.model.numbers[name])
    return found


def _each_class(
    run: BlockRun[ConceptSearch],
    folder: Path,
    numbers: Sequence[int],
    predicted: dict[int, list[int]],
    names: Sequence[str],
    head: AdditiveHead | None,
) -> None:
    """Do the classes that nobody has done or has in hand, and wait for those that others have."""
    there, rank, ranks = ConceptRun(folder), run.trainer.global_rank, run.trainer.world_size
    begin = rank * len(numbers) // ranks
    order = [*numbers[begin:], *numbers[:begin]]  # each process begins at a place of its own
    left = [cls for cls in order if not there.is_whole(cls)]
    with run.working("Concepts", len(order), "class", len(order) - len(left)) as done:
        while left:
            again = []
            for cls in left:
                with free(there.folder(cls)) as ours:
                    if not ours:
                        again.append(cls)
                        continue
                    if not there.is_whole(cls):
                        _one_class(run, there, cls, predicted.get(cls, []), names, head)
                done()
            if len(again) == len(left):
                time.sleep(_WAIT)
            left = again


def _one_class(
    run: BlockRun[ConceptSearch],
    there: ConceptRun,
    cls: int,
    samples: Sequence[int],
    names: Sequence[str],
    head: AdditiveHead | None,
) -> None:
    model, count = run.model, min(run.model.images, len(samples))
    chosen = [samples[i * len(samples) // count] for i in range(count)]
    batches = [batch for batch in run.datamodule.batches_of(chosen) if len(batch.images)] if chosen else []
    name = names[cls] if cls < len(names) else f"class {cls}"
    with run.in_hand():
        write_class(model.study, model.network, batches, there.folder(cls), cls, name, len(samples), head, model.crops)


def _is_ours(folder: Path) -> bool:
    try:
        return Manifest.load(folder).identity.get("verb") == VERB
    except (FileNotFoundError, NotADirectoryError):
        return False


def _forget(folder: Path) -> None:
    """Remove what was made of other images or weights."""
    (folder / PREDICTED).unlink(missing_ok=True)
    ChunkedPredictions(folder / PARTS, [0]).remove()
    shutil.rmtree(folder / CLASSES, ignore_errors=True)
