"""Blocks on disk: one Parquet file per block, the same bytes for the same record, and never half a file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from lit_coiba.core.batch import Failure
from lit_coiba.core.printable import printable
from lit_coiba.files.atomic import atomically
from lit_coiba.files.json_text import decode_json
from lit_coiba.files.regular import clause, open_regular
from lit_coiba.store.records import COLUMNS, VERSION, BlockRecord, Columns, from_table, to_table

_ONE = re.compile(r"\d{6,}\.parquet")
_MANY = re.compile(r"(\d{6,})-(\d{6,})\.[0-9a-f]{12}\.parquet")  # first and last block, and what it was made of
BLOCKS = b"lit_coiba.blocks"  # JSON list of block numbers
_ROWS = b"lit_coiba.rows"  # JSON list, rows of each of them; absent where there is one block
_IDENTITY = b"lit_coiba.identity"  # digest of the manifest's identity
PARQUET: dict[str, Any] = {"use_dictionary": False, "write_statistics": False, "write_page_checksum": True}
_QUICK = "lz4"  # of a block, which waits for compaction, where maps are packed well, once

Numbers = list[Annotated[int, msgspec.Meta(ge=0, lt=2**48)]]  # of blocks, or of rows
Signature = tuple[int, int, int]  # inode, bytes, modification time in ns

_LOOKS = 20  # at a folder in which files come and go


class DamagedBlock(Exception):
    """A file among the blocks that is truncated, or does not belong to this store."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{printable(path, 200)} is truncated or belongs to another run ({reason})")
        self.path = path


class StaleBlock(Exception):
    """A file among the blocks that another process replaced or removed meanwhile."""


class Part(NamedTuple):
    """One block within a file: its explained rows, then its failures."""

    block: int  # its number
    group: int  # row group of the file
    first: int  # its first row in that group
    length: int  # rows, failures included
    start: int  # its first row among the explained ones of that group
    keys: list[tuple[str, int]]  # (id, target) of its explained rows
    failures: tuple[Failure, ...]
    labels: Sequence[int] = ()  # of its explained rows; -1 = none
    versions: Sequence[str] | None = None  # of the samples of its explained rows; None = not known


@dataclass(frozen=True, eq=False)
class BlockFile:
    """One file of blocks, as found at one moment."""

    path: Path
    signature: Signature
    parts: tuple[Part, ...]  # one, unless the file was made by compaction
    layout: tuple[tuple[str, str, str], ...]  # name, type and shape of each extra
    footer: pq.FileMetaData | None = None  # of a large file: to parse it takes longer than to read one row group

    @property
    def compact(self) -> bool:
        """Whether it was made by compaction, and not by a run."""
        return _ONE.fullmatch(self.path.name) is None

    @property
    def range(self) -> tuple[int, int]:
        """Numbers of its first and its last block."""
        return self.parts[0].block, self.parts[-1].block


def write_block(folder: Path, record: BlockRecord, identity: str) -> Path:
    """Write a record to ``<number>.parquet``, whole or not at all; the same record gives the same bytes.

    Raises:
        OSError: The disk is full, the folder is read-only, ...
        InputError: The record contradicts itself.
    """
    table = to_table(record)
    path = folder / _one(record.block)
    buffer = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata(described(identity, [record.block])),
        buffer,
        row_group_size=max(1, table.num_rows),
        compression=_QUICK,
        **PARQUET,
    )
    with atomically(path) as file:
        file.write(buffer.getvalue())
    return path


def described(identity: str, blocks: list[int], rows: list[int] | None = None) -> dict[bytes, bytes]:
    """The metadata of a file of blocks; `rows` of each where there are several."""
    several = {} if rows is None else {_ROWS: json.dumps(rows).encode()}
    return {BLOCKS: json.dumps(blocks).encode(), _IDENTITY: identity.encode(), **several}


def list_blocks(folder: Path) -> dict[str, Signature]:
    """Name and signature of every Parquet file in a folder, except hidden and temporary ones, in order of number.

    A folder is not listed in one instant: while files are merged, one look may miss the new file and the old ones. So
    it is looked at until nothing has gone between two looks.
    """
    found = _look(folder)
    for _ in range(_LOOKS):
        before, found = found, _look(folder)
        if before.keys() <= found.keys():
            break
    return found


def is_block(name: str) -> bool:
    """Whether a file of this name is one of blocks."""
    return bool(_ONE.fullmatch(name) or _MANY.fullmatch(name))


def read_keys(path: Path, signature: Signature, identity: str) -> BlockFile:
    """What a file holds: reads ids, targets and errors, not the maps.

    Raises:
        DamagedBlock: It is truncated, or belongs to a store with another identity.
        StaleBlock: It is gone.
    """
    with _opened(path) as file:
        schema = file.schema_arrow
        metadata = schema.metadata or {}
        types = dict(zip(schema.names, schema.types))
        columns = {**COLUMNS, **({VERSION: pa.string()} if VERSION in types else {})}
        if BLOCKS not in metadata or any(types.get(name) != type for name, type in columns.items()):
            raise DamagedBlock(path, "it is not a block of explanations")
        if metadata.get(_IDENTITY) != identity.encode():
            raise DamagedBlock(path, "it belongs to a run with other arguments")
        blocks: list[int] = decode_json(metadata[BLOCKS], Numbers)
        rows: list[int] = decode_json(metadata[_ROWS], Numbers) if _ROWS in metadata else [file.metadata.num_rows]
        if not blocks or blocks != sorted(set(blocks)) or path.name not in (_one(blocks[0]), *_many(path, blocks)):
            raise DamagedBlock(path, f"it holds block {blocks[0]}")
        groups = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        named = [name for name in ("id", "label", "target", "error", VERSION) if name in types]
        keys = file.read(columns=named, use_threads=False)
        parts = tuple(_parts(path, blocks, rows, groups, keys))
        return BlockFile(path, signature, parts, layout(schema), file.metadata if len(parts) > 1 else None)


def _one(block: int) -> str:
    return f"{block:06d}.parquet"


def _many(path: Path, blocks: list[int]) -> list[str]:
    """The name of a file that compaction made of these blocks, if it has such a name."""
    match = _MANY.fullmatch(path.name)
    return [path.name] if match and [int(match[1]), int(match[2])] == [blocks[0], blocks[-1]] else []


def layout(schema: pa.Schema) -> tuple[tuple[str, str, str], ...]:
    """Name, type and shape of each column that not every file has; files of one layout can be merged."""
    extras = [field for field in schema if field.name not in COLUMNS]  # and the versions, where it has them
    return tuple((field.name, str(field.type), str(field.metadata)) for field in extras)


def _parts(path: Path, blocks: list[int], rows: list[int], groups: list[int], keys: pa.Table) -> Iterator[Part]:
    """Cut the keys of a file into its blocks; no block lies in two row groups."""
    ids, targets = keys["id"].to_pylist(), keys["target"].to_pylist()
    errors, labels = keys["error"].to_pylist(), keys["label"].to_pylist()
    versions = keys[VERSION].to_pylist() if VERSION in keys.column_names else None
    if None in ids or any(target is None for target, error in zip(targets, errors) if error is None):
        raise DamagedBlock(path, "a row has no id or no target")
    group = first = start = done = 0
    for block, length in zip(blocks, rows):
        while group < len(groups) and first == groups[group] > 0:
            group, first, start = group + 1, 0, 0
        if length and (group == len(groups) or first + length > groups[group]):
            raise DamagedBlock(path, "its row groups are not what they should be")
        own = range(done, done + length)
        whole = [row for row in own if errors[row] is None]
        explained = [(ids[row], targets[row]) for row in whole]
        known = [-1 if labels[row] is None else labels[row] for row in whole]
        noted = None if versions is None else [versions[row] or "" for row in whole]
        failed = tuple(Failure(ids[row], errors[row]) for row in own if errors[row] is not None)
        yield Part(block, group, first, length, start, explained, failed, known, noted)
        first, start, done = first + length, start + len(explained), done + length
    if len(blocks) != len(rows) or done != len(ids):
        raise DamagedBlock(path, "it does not have the rows that it should have")


def read_group(file: BlockFile, group: int, columns: list[str] | None = None) -> pa.Table:
    """Read one row group, or some of its columns, all checksums verified.

    Raises:
        DamagedBlock: Its data is damaged.
        StaleBlock: The file is not the one whose keys were read.
    """
    with _opened(file.path, file.footer) as opened:
        check_same(file)
        return opened.read_row_group(group, columns, use_threads=False)


def read_schema(file: BlockFile) -> pa.Schema:
    """Names and types of the columns."""
    with _opened(file.path) as opened:
        return opened.schema_arrow


def read_rows(file: BlockFile, group: int) -> Columns:
    """Decode one row group.

    Raises:
        DamagedBlock: Its data is damaged.
        StaleBlock: The file is not the one whose keys were read.
    """
    table = read_group(file, group)
    with _damage(file.path):
        return Columns(table)


def read_record(file: BlockFile, part: Part) -> BlockRecord:
    """Decode one block, failures and all.

    Raises:
        DamagedBlock: Its data is damaged.
        StaleBlock: The file is not the one whose keys were read.
    """
    table = read_group(file, part.group) if part.length else read_schema(file).empty_table()
    with _damage(file.path):
        return from_table(table.slice(part.first, part.length), part.block)


def check_same(file: BlockFile) -> None:
    """Raise `StaleBlock` if another process has replaced or removed a file since its keys were read."""
    try:
        same = signature_of(file.path) == file.signature
    except OSError:
        same = False
    if not same:
        raise StaleBlock


@contextmanager
def _opened(path: Path, footer: pq.FileMetaData | None = None) -> Iterator[pq.ParquetFile]:
    """A Parquet file open for reading; what is wrong with it is raised as what it means for the store."""
    with (
        _damage(path),
        open_regular(path),
        pa.OSFile(os.fsencode(path)) as source,
        pq.ParquetFile(source, metadata=footer, pre_buffer=False, page_checksum_verification=True) as file,
    ):
        yield file


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """What reading a file raises, as what it means for the store."""
    try:
        yield
    except (DamagedBlock, StaleBlock):
        raise
    except FileNotFoundError as error:
        raise StaleBlock from error
    except Exception as error:  # whatever Arrow makes of bytes that are something else
        reason = clause(error) if isinstance(error, OSError) else (str(error).strip().splitlines() or [""])[0]
        raise DamagedBlock(path, printable(reason, 200) or type(error).__name__) from error


def _look(folder: Path) -> dict[str, Signature]:
    found = {}
    for path in sorted(folder.glob("*.parquet"), key=lambda path: (len(path.name), path.name)):
        if not path.name.startswith("."):
            try:
                found[path.name] = signature_of(path)
            except FileNotFoundError:  # removed meanwhile
                continue
            except OSError:  # a link to itself, say: it counts as damaged
                found[path.name] = (0, -1, 0)
    return found


def signature_of(path: Path) -> Signature:
    """What tells one version of a file from another."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns
