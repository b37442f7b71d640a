"""Many small files of blocks become few large ones, while others read and write, and whatever kills the process.

A large file is in place, synced, before the files it was made of are removed. Its name says which versions of these it
was made of, so that two processes at the same work write the same file. Where a block lies in a small and a large file
the small one counts (see `BlockIndex`), which is why large ones are removed first.
"""

from __future__ import annotations

import errno
import hashlib
import json
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lit_coiba.files.atomic import atomically
from lit_coiba.store.blocks import (
    PARQUET,
    BlockFile,
    StaleBlock,
    check_same,
    described,
    read_group,
    read_schema,
)
from lit_coiba.store.foreign import is_ours
from lit_coiba.store.index import BlockIndex, Piece
from lit_coiba.store.progress import Tell, silent

FILE_BYTES = 256 * 2**20  # of a large file, about
GROUP_BYTES = 2**19  # of a row group in memory, about: what is decoded to look up one row
PACKED = {
    **PARQUET,
    "compression": "zstd",
    "column_encoding": {"map.list.element": "BYTE_STREAM_SPLIT"},  # floats pack better byte by byte
}

_ATTEMPTS = 100  # each follows upon another process's progress


def consolidate(index: BlockIndex, find: Callable[[], dict[int, Piece]], tell: Tell = silent) -> None:
    """Write the blocks into large files of the folder, in order of number, and remove what these replace.

    What lies in such files already, and in order, is left alone: to repeat this costs nothing, and when it was killed
    it goes on. One row group is in memory at a time.

    Args:
        index: The folder.
        find: Gives the blocks that there are, by number, those of the folder among them; it is asked again when
            another process has moved one.
        tell: Callback with the number of blocks written and their total.

    Raises:
        OSError: The disk is full, the folder is read-only, ...
        DamagedBlock: A file is damaged; its blocks stay where they are.
    """
    for _ in range(_ATTEMPTS):
        index.refresh()
        with suppress(StaleBlock):
            _rewrite(index, find(), tell)
            return
    raise OSError(None, "other processes keep changing its files")


def _rewrite(index: BlockIndex, pieces: dict[int, Piece], tell: Tell) -> None:
    settled = _settled(index, pieces)
    loose = [piece for piece in pieces.values() if piece[0] not in settled]
    ours = [file for file in index.files.values() if file not in settled]
    replaced = {file for file in ours if all(part.block in pieces for part in file.parts)}
    large = [file for file in replaced if file.compact]
    done = count(1)

    def wrote() -> None:
        tell(next(done), len(loose))

    written = set()  # some may have been there, from a time when this was killed
    for target in _cut(loose, [file.range for file in settled]):
        written.add(_write(index, target, wrote))
        if not large:
            _remove({file for file, _ in target} & replaced)
    _remove(file for file in large if file.path not in written)
    _remove(file for file in replaced if file.path not in written)
    tell(len(loose), len(loose))


def _settled(index: BlockIndex, pieces: dict[int, Piece]) -> list[BlockFile]:
    """The large files of the folder whose range of blocks nothing else reaches into."""
    files = {*index.files.values(), *(file for file, _ in pieces.values())}
    large = [file for file in files if file.compact and index.files.get(file.path.name) is file]
    blocks = sorted(part.block for file in files for part in file.parts)
    return [
        file
        for file in sorted(large, key=lambda file: file.range)
        if bisect_left(blocks, file.range[1] + 1) - bisect_left(blocks, file.range[0]) == len(file.parts)
        and all(pieces.get(part.block, (None,))[0] is file for part in file.parts)
    ]


def _cut(loose: list[Piece], settled: list[tuple[int, int]]) -> Iterator[list[Piece]]:
    """Blocks that go into one file: neighbors with the same extras, of about `FILE_BYTES`."""
    target: list[Piece] = []
    size, extras, ends = 0.0, None, [last for _, last in settled]
    for file, part in loose:
        own = file.layout if part.keys else None  # a block of failures has no extras, and fits anywhere
        apart = target and bisect_left(ends, part.block) != bisect_left(ends, target[-1][1].block)
        if apart or size >= FILE_BYTES or (own is not None and extras is not None and own != extras):
            yield target
            target, size, extras = [], 0.0, None
        target.append((file, part))
        size += file.signature[1] * part.length / max(1, sum(part.length for part in file.parts))
        extras = own if extras is None else extras
    if target:
        yield target


def _write(index: BlockIndex, target: list[Piece], wrote: Callable[[], None]) -> Path:
    """Write one large file, unless it is there; its path."""
    made_of = json.dumps([[file.path.name, file.signature, part.block] for file, part in target])
    digest = hashlib.sha256(made_of.encode()).hexdigest()[:12]
    blocks, rows = [part.block for _, part in target], [part.length for _, part in target]
    path = index.folder / f"{blocks[0]:06d}-{blocks[-1]:06d}.{digest}.parquet"
    if path.name in index.files:  # whole, as far as is known: what only has the name would cost the blocks
        return path
    if path.exists() and not is_ours(path):
        raise OSError(errno.EEXIST, "it is not a file of this store", str(path))
    file, _ = next((piece for piece in target if piece[1].keys), target[0])
    schema = read_schema(file).with_metadata(described(index.identity, blocks, rows))
    with atomically(path) as out:
        with pq.ParquetWriter(out, schema, **PACKED) as writer:
            for group in _groups(_tables(target, schema, wrote)):
                writer.write_table(group, row_group_size=group.num_rows)
        for file in {file for file, _ in target}:
            check_same(file)
    return path


def _groups(blocks: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The rows of these blocks in row groups, no block in two of them."""
    tables: list[pa.Table] = []
    for table in blocks:
        tables.append(table)
        if sum(table.nbytes for table in tables) >= GROUP_BYTES:
            yield pa.concat_tables(tables)
            tables = []
    if tables:
        yield pa.concat_tables(tables)


def _tables(target: list[Piece], schema: pa.Schema, wrote: Callable[[], None]) -> Iterator[pa.Table]:
    """The rows of each block that has any."""
    opened: tuple[BlockFile, int, pa.Table] | None = None
    for file, part in target:
        wrote()
        if not part.length:
            continue
        if opened is None or opened[0] is not file or opened[1] != part.group:
            opened = None  # one row group in memory, not two
            opened = file, part.group, read_group(file, part.group)
        table = opened[2].slice(part.first, part.length)
        columns = [
            table[field.name] if field.name in table.column_names else pa.nulls(part.length, field.type)
            for field in schema
        ]
        yield pa.table(columns, schema=schema)


def _remove(files: Iterable[BlockFile]) -> None:
    """Remove files, unless another process has put something new in their place."""
    for file in files:
        with suppress(StaleBlock, FileNotFoundError):
            check_same(file)
            file.path.unlink()
