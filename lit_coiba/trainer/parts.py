"""What `Trainer.parts` does: scores of a method by the parts of objects, into a table that grows by method."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

from lit_coiba.benchmark.part_table import TABLES, PartTable, check_part_tables
from lit_coiba.callbacks import BlockProgress
from lit_coiba.core.errors import InputError, warn
from lit_coiba.core.printable import listed, printable
from lit_coiba.data.module import BlockDataModule
from lit_coiba.data.shard import Shard
from lit_coiba.files.owned import claim_folder, is_foreign, is_marked
from lit_coiba.modules.part_evaluator import PartEvaluator
from lit_coiba.store import ExplanationStore
from lit_coiba.store.folder import is_store
from lit_coiba.store.writer import StoreWriter
from lit_coiba.trainer.block_run import BlockRun
from lit_coiba.trainer.changes import IfChanged, blocks_to_do
from lit_coiba.trainer.costs import evaluating_parts
from lit_coiba.trainer.explain import open_store
from lit_coiba.trainer.identity import parts_identity
from lit_coiba.trainer.places import place_of

VERB = "parts"
# Of an identity: what may differ between the rows of a table. Logits without parts are in full precision always.
_OWN = {"method", "statistics", "precision", "block_size"}


def parts_place(output: str | os.PathLike[str], name: str, data: BlockDataModule) -> Path:
    """The folder for scores and table.

    Raises:
        InputError: It cannot be written, or is not the verb's own; or the row's name is none of a folder.
    """
    folder = place_of(output, "output", data, lambda found: is_marked(found, VERB), _known)
    if not name or name in TABLES or name.startswith(".") or Path(name).name != name:
        raise InputError(f"name is {printable(name, 80)!r}: give the name of a row, which becomes that of a folder")
    check_part_tables(folder)
    return folder


def _known(entry: Path) -> bool:
    """Whether an entry of a folder without marker is one of a table."""
    return is_store(entry) or (entry.name in TABLES and not is_foreign(entry, TABLES[entry.name]))


def evaluate_parts(
    run: BlockRun[PartEvaluator], output: Path, name: str, shard: Shard, if_changed: IfChanged = "refuse"
) -> PartTable:
    """Score a method on the images of a run, and put it into the table of all methods in a folder.

    Args:
        run: The run.
        output: Folder for the scores and the table.
        name: Name of the method's row.
        shard: Share of the blocks that is done.
        if_changed: What is done with scores of other data.
    """
    run.model.transform = run.datamodule.transform
    explained, identity = cast(BlockRun[Any], run), parts_identity(run)
    run.on_rank_zero(lambda: claim_folder(output, "output", VERB, _known))
    store, _ = open_store(explained, output / name, identity, shard, if_changed)
    if blocks := run.on_rank_zero(lambda: blocks_to_do(run, store, shard)):
        progress = BlockProgress("Parts", evaluating_parts(run, blocks))
        run.over_blocks(run.model, blocks, progress, StoreWriter(store, run.fingerprint()))
    table = run.on_rank_zero(lambda: PartTable.of(_rows(output, store)))
    if run.trainer.is_global_zero:
        table.save(output)
    return table


def _rows(output: Path, like: ExplanationStore) -> dict[str, ExplanationStore]:
    """The rows of a table by name: the folders with scores of the same model on the same images."""
    folders = sorted(entry for entry in output.iterdir() if is_store(entry))
    stores = {folder.name: ExplanationStore(folder) for folder in folders}
    found = {name: store for name, store in stores.items() if _compared(store) == _compared(like)}
    if others := sorted(stores.keys() - found.keys()):
        told = listed(others)
        warn(f"output {output} has scores of another model or of other images too, {told}: no rows of this table")
    return found


def _compared(store: ExplanationStore) -> dict[str, Any]:
    """What the rows of a table have in common."""
    return {name: value for name, value in store.manifest.identity.items() if name not in _OWN}
