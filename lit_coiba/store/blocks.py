"""Blocks on disk: one Parquet file per block, the same bytes for the same record, and never half a file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from lit_coiba.contracts import Failure
from lit_coiba.store.atomic import atomically
from lit_coiba.store.records import COLUMNS, BlockRecord, Columns, explained, failures, to_table

_NAME = re.compile(r"\d{6,}\.parquet")
_BLOCKS = b"lit_coiba.blocks"  # JSON list of block numbers
_IDENTITY = b"lit_coiba.identity"  # digest of the manifest's identity

Signature = tuple[int, int, int]  # inode, bytes, modification time in ns


class DamagedBlock(Exception):
    """A file among the blocks that is torn, or no block of this store."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} is torn or foreign ({reason})")
        self.path = path


class StaleBlock(Exception):
    """A file among the blocks that another process replaced or removed meanwhile."""


class BlockFile(NamedTuple):
    """One file of blocks, as found at one moment."""

    path: Path
    signature: Signature
    blocks: tuple[int, ...]  # numbers of the blocks it holds: one, unless blocks were merged
    keys: list[list[tuple[str, int]]]  # row group -> (id, target) of its explained rows
    failures: tuple[Failure, ...]


def write_block(folder: Path, record: BlockRecord, identity: str) -> Path:
    """Write a record to ``<number>.parquet``, whole or not at all; the same record gives the same bytes.

    Raises:
        OSError: The disk is full, the folder is read-only, ...
        InputError: The record contradicts itself.
    """
    table = to_table(record)
    metadata = {_BLOCKS: json.dumps([record.block]).encode(), _IDENTITY: identity.encode()}
    path = folder / f"{record.block:06d}.parquet"
    buffer = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata(metadata),
        buffer,
        row_group_size=max(1, table.num_rows),
        compression="zstd",
        use_dictionary=False,
        column_encoding={"map.list.element": "BYTE_STREAM_SPLIT"},  # floats pack better byte by byte
        write_statistics=False,
        write_page_checksum=True,
    )
    with atomically(path) as file:
        file.write(buffer.getvalue())
    return path


def list_blocks(folder: Path) -> dict[str, Signature]:
    """Name and signature of every Parquet file in a folder, except hidden and temporary ones, in order of number."""
    found = {}
    for path in sorted(folder.glob("*.parquet"), key=lambda path: (len(path.name), path.name)):
        if not path.name.startswith("."):
            try:
                found[path.name] = _signature(path)
            except FileNotFoundError:  # removed meanwhile
                continue
    return found


def read_keys(path: Path, signature: Signature, identity: str) -> BlockFile:
    """What a file holds: reads ids, targets and errors, not the maps.

    Raises:
        DamagedBlock: It is torn, or no block of the store with this identity.
        StaleBlock: It is gone.
    """
    with _opened(path) as file:
        schema = file.schema_arrow
        metadata = schema.metadata or {}
        types = dict(zip(schema.names, schema.types))
        if _BLOCKS not in metadata or any(types.get(name) != type for name, type in COLUMNS.items()):
            raise DamagedBlock(path, "it is not a block of explanations")
        if metadata.get(_IDENTITY) != identity.encode():
            raise DamagedBlock(path, "it belongs to a run with other arguments")
        blocks = tuple(json.loads(metadata[_BLOCKS]))
        if not _NAME.fullmatch(path.name) or int(path.stem) != blocks[0]:
            raise DamagedBlock(path, f"it holds block {blocks[0]}")
        keys: list[list[tuple[str, int]]] = []
        failed: list[Failure] = []
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=["id", "target", "error"], use_threads=False)
            rows = explained(table)
            keys.append(list(zip(rows["id"].to_pylist(), rows["target"].to_pylist())))
            failed.extend(failures(table))
        return BlockFile(path, signature, blocks, keys, tuple(failed))


def read_rows(file: BlockFile, group: int) -> Columns:
    """Decode one row group, all checksums verified.

    Raises:
        DamagedBlock: Its data is torn.
        StaleBlock: The file is not the one whose keys were read.
    """
    with _opened(file.path) as opened:
        if _signature(file.path) != file.signature:
            raise StaleBlock
        return Columns(opened.read_row_group(group, use_threads=False))


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    """A Parquet file open for reading; what is wrong with it is raised as what it means for the store."""
    try:
        with (
            pa.OSFile(os.fsencode(path)) as source,
            pq.ParquetFile(source, pre_buffer=False, page_checksum_verification=True) as file,
        ):
            yield file
    except FileNotFoundError as error:
        raise StaleBlock from error
    except (pa.ArrowException, OSError, ValueError, TypeError, LookupError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise DamagedBlock(path, reason[0][:200]) from error


def _signature(path: Path) -> Signature:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns
