"""Activation statistics: what `Trainer.statistics` estimates, and what `explain` does of it by itself."""

from __future__ import annotations

import glob
import hashlib
import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from lit_coiba.bottlenecks import ActivationStatistics, BottleneckMethod
from lit_coiba.bottlenecks.leak import SAMPLE
from lit_coiba.callbacks import BlockProgress
from lit_coiba.core.errors import InputError
from lit_coiba.data.module import BlockDataModule
from lit_coiba.data.shard import Shard
from lit_coiba.files.atomic import remove_leftovers
from lit_coiba.files.given_path import given_path
from lit_coiba.files.owned import check_apart, check_own_file
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.statistics import ChunkedStatistics, StatisticsModule
from lit_coiba.store.chunks import remove_chunks
from lit_coiba.store.folder import STATISTICS, is_parts, is_statistics
from lit_coiba.trainer.block_run import BlockRun
from lit_coiba.trainer.costs import estimating
from lit_coiba.trainer.places import check_place, has_statistics, image_folders

ENOUGH_IMAGES = 10_000  # more change little: what IBA's authors advise
_FEW = 5  # times as many images for the statistics as are explained: then it is said


def check_statistics_arguments(file: str | os.PathLike[str], images: int, data: BlockDataModule) -> Path:
    """Refuse what statistics cannot be estimated from or kept in.

    Returns:
        The file to write.

    Raises:
        InputError: Too few images, or a file that cannot be written, or has something else in it.
    """
    path = given_path(file, "file")
    if images < 2:
        raise InputError(f"images is {images}, but a standard deviation needs at least 2")
    check_place(path.parent, "file")
    if path.is_dir():
        raise InputError(f"file {path} is a folder: give the name of a file")
    check_apart(path, "file", image_folders(data))
    check_own_file(path, "file", is_statistics)
    if path.parent.is_dir():
        remove_leftovers(path.parent, path.name)
    return path


def estimate(
    run: BlockRun[Explainer],
    file: Path,
    images: int,
    shard: Shard = Shard(0, 1),  # noqa: B008 - a tuple
    made: Callable[[], bool] = lambda: False,
) -> ActivationStatistics:
    """Statistics in `file`, in use by the method: estimated by all processes, put together by the first one.

    Others may be at the same work, in the same folder: what they did is not done again, and once they have `made` the
    file it is used as it is.

    Args:
        run: The run; its current pass is over all images.
        file: File to write.
        images: Number of images to use, about.
        shard: Share of the work of this job.
        made: Whether another job has written the file.

    Raises:
        InputError: The method needs no statistics, or there are fewer than two readable images.
    """
    method, network = run.model.method, run.model.network
    if not isinstance(method, BottleneckMethod):
        raise InputError(f"{type(method).__name__} needs no activation statistics: continue with `explain`")
    run.check_whole_pass("statistics")
    layers, blocks = method.statistics_layers(network), run.datamodule.spread(images)
    samples = run.fingerprint().digest()
    data = run.datamodule.identity(), run.images.identity()
    sources = [run.preprocessing, run.ids_digest, samples, data, run.datamodule.block_size, blocks]
    made_by = [type(method).__name__, sorted(method.arguments().items()), run.precision]
    parts = hashlib.sha256(repr([network.digest(), layers, *made_by, *sources]).encode()).hexdigest()
    chunks = ChunkedStatistics(Path(f"{file}.{parts[:12]}.parts"), blocks, layers)

    def leak_tested(statistics: ActivationStatistics) -> ActivationStatistics:
        run.to_device()
        found = replace(statistics, samples=samples)
        return method.set_statistics(network, found, run.datamodule.sample(SAMPLE))

    done = False
    while not done:
        while missing := run.on_rank_zero(lambda: [] if made() else chunks.missing(shard)):
            module = StatisticsModule(network, chunks)
            progress = BlockProgress("Statistics", estimating(run, missing))
            run.over_blocks(module, missing, progress, blocks_per_process=chunks.length)
        done = run.on_rank_zero(lambda: made() or chunks.put(file, network, leak_tested))
    return method.set_statistics(network, ActivationStatistics.load(file), ())


def prepare_method(
    run: BlockRun[Explainer], folder: Path, identity: dict[str, Any], shard: Shard
) -> ActivationStatistics | None:
    """Give the method what it needs to know about the data, all of it; the statistics it uses, if it uses any.

    Args:
        run: The run.
        folder: Folder of the store, where statistics are kept.
        identity: Identity of the store.
        shard: Share of the work of this job.
    """
    method, network, kept = run.model.method, run.model.network, folder / STATISTICS
    explained = len(run.images)
    with run.all_images():
        if not isinstance(method, BottleneckMethod):
            method.prepare(network, run.datamodule.sample(ENOUGH_IMAGES))
            return None
        given = method.arguments().get("statistics")

        def made() -> bool:
            return has_statistics(folder, identity)

        if run.on_rank_zero(lambda: not given and not made()):
            _say_how_many(run, explained, len(run.datamodule.spread(ENOUGH_IMAGES)))
            return estimate(run, kept, ENOUGH_IMAGES, shard, made)
        statistics = ActivationStatistics.load(given or kept)
        if statistics.leak is None:
            run.to_device()
        return method.set_statistics(network, statistics, run.datamodule.sample(SAMPLE))


def _say_how_many(run: BlockRun[Explainer], explained: int, blocks: int) -> None:
    """Say beforehand that statistics take many more images than are explained."""
    seen = min(len(run.images), blocks * run.datamodule.block_size)
    if run.trainer.is_global_zero and seen >= _FEW * explained:
        warnings.warn(
            f"{seen:,} images are read first for activation statistics, and {explained:,} are explained: statistics of "
            "lit-coiba statistics serve many runs, as method.statistics",
            stacklevel=2,
        )


def remove_parts(file: Path) -> None:
    """Remove what statistics were made of."""
    for folder in file.parent.glob(f"{glob.escape(file.name)}.*.parts"):
        if is_parts(folder, file.name):
            remove_chunks(folder)
