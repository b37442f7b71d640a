"""Blocks in a few fixed groups, each of which leaves one file: what a pass over a dataset resumes by."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.data.shard import Shard
from lit_coiba.files.owned import check_own_file, is_foreign, remove_made
from lit_coiba.files.regular import open_regular
from lit_coiba.files.tensor_file import read_safe_tensors

_OURS = re.compile(r"\d{3,}\.safetensors|statistics\.safetensors")  # parts, and what was made of them
CHUNKS = 16  # files, at most, where nothing else is asked for


class Chunks:
    """Groups of blocks, and what is done of them.

    The groups depend on the list of blocks only, so what is merged in order within a group, and group by group at the
    end, associates in the same way however they are dealt to processes and wherever a run stopped.

    Args:
        folder: Folder of the files; created when the first one is written.
        blocks: Block numbers, at least one.
        longest: Blocks of a chunk, at most; there may be more chunks then.
    """

    def __init__(self, folder: Path, blocks: Sequence[int], longest: int | None = None) -> None:
        self.folder = folder
        self.length = min(-(-len(blocks) // CHUNKS), longest or len(blocks))
        self.chunks = [list(blocks[i : i + self.length]) for i in range(0, len(blocks), self.length)]
        self._chunk_of = {block: number for number, chunk in enumerate(self.chunks) for block in chunk}

    def missing(self, shard: Shard = Shard(0, 1)) -> list[int]:  # noqa: B008 - a tuple
        """Blocks of the chunks that are not on disk yet, in order.

        Of jobs that share the folder each does its own chunks first, then one at a time that nobody has done yet.

        Raises:
            InputError: Something else has the name of a chunk.
        """
        for number in range(len(self.chunks)):
            check_own_file(self.file(number), "parts", _is_safetensors)
        missing = [number for number in range(len(self.chunks)) if not self._is_there(self.file(number))]
        numbers = shard.share(missing)
        if missing and not numbers:
            numbers = [missing[shard.number * len(missing) // shard.total]]
        return [block for number in numbers for block in self.chunks[number]]

    def ended_by(self, block: int) -> int | None:
        """The chunk whose last block this is, if it is one."""
        chunk = self._chunk_of[block]
        return chunk if block == self.chunks[chunk][-1] else None

    def remove(self) -> None:
        """Delete everything here; another run may do so at the same time."""
        remove_chunks(self.folder)

    @staticmethod
    def _is_there(file: Path) -> bool:
        """Whether a file is there, and not what a power cut leaves of one."""
        return file.exists() and file.stat().st_size > 0

    def content(self, chunk: int) -> dict[str, Tensor]:
        """The tensors that a chunk left.

        Raises:
            FileNotFoundError: Another run has removed it.
            InputError: It is damaged; it is removed, so that the same call does it again.
        """
        file = self.file(chunk)
        if not os.path.lexists(file):
            raise FileNotFoundError(None, "it is gone", str(file))
        try:
            return read_safe_tensors(file, "part", "rerun the same command").content
        except InputError:
            file.unlink(missing_ok=True)
            raise

    def file(self, chunk: int) -> Path:
        """What a chunk leaves."""
        return self.folder / f"{chunk:03d}.safetensors"


def remove_chunks(folder: Path) -> None:
    """Delete the files that chunks leave, and their folder, where nothing else is in it."""
    remove_made(folder, lambda file: _OURS.fullmatch(file.name) is not None and not is_foreign(file, _is_safetensors))


def _is_safetensors(file: Path) -> bool:
    """Whether a file begins as a chunk does: eight bytes for the length of a header in JSON."""
    try:
        with open_regular(file) as stream:
            return stream.read(9)[8:] == b"{"
    except OSError:
        return False
