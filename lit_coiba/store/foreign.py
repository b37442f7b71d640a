"""Files among the blocks of a store that were never blocks: they are not replaced."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lit_coiba.files.regular import open_regular
from lit_coiba.store.blocks import BLOCKS, is_block, list_blocks

_MAGIC, _HEAD = b"PAR1", 64  # how a Parquet file begins and ends; bytes that are looked at


def foreign_blocks(folder: Path, known: Collection[str]) -> list[str]:
    """Names that blocks have, of files in a folder that were none, and are not among those `known` to be."""
    names = [name for name in list_blocks(folder) if is_block(name)]
    return [name for name in names if name not in known and not is_ours(folder / name)]


def is_ours(path: Path) -> bool:
    """Whether a file was a block once, however damaged it is now: zeros are what a power cut leaves."""
    try:
        with open_regular(path) as file:
            head = file.read(_HEAD)
            file.seek(-len(_MAGIC), os.SEEK_END)
            if not (head.startswith(_MAGIC) or file.read() == _MAGIC):
                return not head.strip(b"\0")
    except OSError:  # shorter than its end mark, or no regular file, which is never opened
        return not path.is_dir() and not (path.is_file() and path.stat().st_size)
    try:
        with pa.OSFile(os.fsencode(path)) as source:
            return BLOCKS in (pq.read_schema(source).metadata or {})
    except (pa.ArrowException, OSError, ValueError):
        return True
