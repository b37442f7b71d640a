"""Stores of one identity, made on different machines, become one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lit_coiba.core.errors import InputError
from lit_coiba.files.atomic import atomically
from lit_coiba.files.given_path import given_path
from lit_coiba.files.regular import read_bytes
from lit_coiba.store.blocks import DamagedBlock
from lit_coiba.store.compaction import consolidate
from lit_coiba.store.folder import FOLDER, STATISTICS
from lit_coiba.store.index import BlockIndex, Piece
from lit_coiba.store.manifest import FILE_NAME, Manifest
from lit_coiba.store.progress import progress_bar
from lit_coiba.store.same_samples import check_same_samples
from lit_coiba.store.samples import read_samples, write_samples
from lit_coiba.store.store import ExplanationStore

LARGEST = 2**32  # bytes of a file of statistics
PathLike = str | os.PathLike[str]


def merge(out: PathLike, stores: Sequence[PathLike], progress: bool = False) -> ExplanationStore:
    """Join stores that share an identity into `out`, which may be one of them; the others stay as they are.

    Nothing is lost or duplicated: a block that several stores have is taken once, the one with the fewest failures.
    After an interruption, repeat the same call. Damaged blocks are left out, with a warning.

    Args:
        out: Folder of the joined store; created, or extended.
        stores: Folders of the stores.
        progress: Whether to show a progress bar on stderr.

    Raises:
        InputError: Their identities differ (the message says in what), there is no store, or `out` cannot be written.
    """
    if not stores:
        raise InputError("stores is empty: give the folders of the stores to merge")
    out = given_path(out, "out")
    sources = [ExplanationStore(given_path(store, "stores")) for store in stores]
    for source in [*sources[1:], *([ExplanationStore(out)] if (Path(out) / FILE_NAME).exists() else [])]:
        if told := sources[0].manifest.told(source.manifest):
            raise InputError(
                f"{sources[0].path} and {source.path} cannot be merged, since they were made with other arguments "
                f"({told}): merge stores of one model, method and dataset"
            )
    check_same_samples([*sources, *([ExplanationStore(out)] if (Path(out) / FILE_NAME).exists() else [])])
    for source in sources:
        joined = ExplanationStore.open(out, Manifest(source.manifest.identity, source.manifest.recorded))
    index = BlockIndex(joined.path / FOLDER, joined.manifest.digest)
    others = [
        BlockIndex(source.path / FOLDER, source.manifest.digest)
        for source in sources
        if source.path.resolve() != joined.path.resolve()
    ]
    try:
        with progress_bar("Merging blocks", progress) as tell:
            consolidate(index, lambda: _best([index, *others]), tell)
        _take_statistics(joined.path, [source.path for source in sources])
        if (last := next(filter(None, (read_samples(source.path) for source in reversed(sources))), None)) is not None:
            write_samples(joined.path, last)
    except OSError as error:
        raise InputError(
            f"store {joined.path} cannot be written ({error.strerror or error}); fix the cause and rerun the same "
            "command: finished blocks are kept"
        ) from error
    except DamagedBlock as error:
        raise InputError(f"{error}: rerun the same command") from error
    return ExplanationStore(out)


def _best(indices: list[BlockIndex]) -> dict[int, Piece]:
    """Each block from the index that has it whole with the fewest failures; of equal ones, the first."""
    best: dict[int, Piece] = {}
    for index in indices:
        index.refresh()
        for block, piece in index.pieces.items():
            better = block not in best or len(piece[1].failures) < len(best[block][1].failures)
            if better and index.is_whole(piece):
                best[block] = piece
        index.tell_damage()
    return dict(sorted(best.items()))


def _take_statistics(out: Path, sources: list[Path]) -> None:
    """The statistics that a resumed run looks for."""
    found = next((source / STATISTICS for source in sources if (source / STATISTICS).exists()), None)
    if found is not None and not (out / STATISTICS).exists():
        with atomically(out / STATISTICS) as file:
            file.write(read_bytes(found, LARGEST))
