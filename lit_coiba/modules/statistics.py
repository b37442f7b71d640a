"""Activation statistics over a dataset: one sharded pass, resumable, the same numbers on one process or many."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path as FilePath
from tempfile import TemporaryDirectory
from typing import Any

import torch
from lightning import LightningModule
from safetensors.torch import load_file, save

from lit_coiba.backbones import Backbone
from lit_coiba.bottlenecks.statistics import ActivationStatistics, merge_moments, observe
from lit_coiba.contracts import Batch, InputError, Preprocessing
from lit_coiba.data.shard import Shard
from lit_coiba.frozen import frozen
from lit_coiba.functional import Moments
from lit_coiba.store.atomic import atomically

CHUNKS = 16  # files of partial moments, at most
FEW_IMAGES = 200  # fewer make the standard deviations noisy


class ChunkedStatistics:
    """Partial moments on disk: blocks are merged in order within a chunk, chunks in order at the end.

    The chunks depend on the list of blocks only, so the sums associate in the same way however the chunks are dealt to
    processes and wherever a run stopped.

    Args:
        folder: Where the files go; made when the first one is written.
        blocks: Block numbers, at least one.
        layers: The layers that are observed.
    """

    def __init__(self, folder: FilePath, blocks: Sequence[int], layers: list[str]) -> None:
        self.folder = folder
        self.layers = layers
        self.length = -(-len(blocks) // CHUNKS)
        self.chunks = [list(blocks[i : i + self.length]) for i in range(0, len(blocks), self.length)]
        self._chunk_of = {block: number for number, chunk in enumerate(self.chunks) for block in chunk}

    @property
    def result(self) -> FilePath:
        """What all chunks together gave, once one of the runs has put them together."""
        return self.folder / "statistics.safetensors"

    def missing(self, shard: Shard = Shard(0, 1)) -> list[int]:  # noqa: B008 - a tuple
        """Blocks of the chunks that are not on disk yet, in order; none when there is nothing left to observe.

        Of jobs that share the folder each does its own chunks first, then one at a time that nobody has done yet.
        """
        if self.result.exists():
            return []
        missing = [number for number in range(len(self.chunks)) if not self._file(number).exists()]
        numbers = shard.share(missing)
        if missing and not numbers:
            numbers = [missing[shard.number * len(missing) // shard.total]]
        return [block for number in numbers for block in self.chunks[number]]

    def chunk_of(self, block: int) -> int:
        """The chunk a block belongs to."""
        return self._chunk_of[block]

    def write(self, chunk: int, moments: dict[str, Moments]) -> None:
        """Put the moments of a chunk in place, complete or not at all; none where no image could be read."""
        self.folder.mkdir(parents=True, exist_ok=True)
        tensors = {
            f"{field}/{layer}": torch.as_tensor(value, dtype=torch.float64).cpu().contiguous()
            for layer, m in moments.items()
            for field, value in m._asdict().items()
        }
        with atomically(self._file(chunk)) as file:
            file.write(save(tensors))

    def merged(self) -> dict[str, Moments]:
        """Moments of all chunks, merged in their order."""
        moments: dict[str, Moments] = {}
        for number in range(len(self.chunks)):
            tensors = load_file(self._file(number))
            if tensors:
                moments = merge_moments(moments, {layer: self._read(tensors, layer) for layer in self.layers})
        return moments

    def statistics(self, network: Backbone) -> ActivationStatistics:
        """What all chunks together say about the layers of `network`.

        Raises:
            InputError: Fewer than two images could be read. The chunks are gone then, as the files may be mended.
        """
        moments = self.merged()
        seen = next(iter(moments.values())).size if moments else 0
        if seen < 2:
            self.remove()
            raise InputError(f"activation statistics need at least two readable images, the data has {seen}")
        if seen < FEW_IMAGES:
            warnings.warn(f"activation statistics of {seen} images are noisy: take {FEW_IMAGES} or more", stacklevel=2)
        return ActivationStatistics.from_moments(network, moments)

    def put(self, file: FilePath, network: Backbone, finish: Callable[[ActivationStatistics], Any]) -> bool:
        """Write the statistics to `file`: what the first of all runs in this folder made of the chunks, for all alike.

        Args:
            file: Where to.
            network: The model.
            finish: What makes the statistics final, such as a leak test.

        Returns:
            False where another run has removed the chunks meanwhile.
        """
        try:
            if not self.result.exists():
                with TemporaryDirectory() as scratch:
                    finish(self.statistics(network)).save(FilePath(scratch) / "statistics")
                    content = (FilePath(scratch) / "statistics").read_bytes()
                with suppress(FileExistsError), atomically(self.result, exclusive=True) as out:
                    out.write(content)
            content = self.result.read_bytes()
        except FileNotFoundError:
            return False
        with atomically(file) as out:
            out.write(content)
        for number in range(len(self.chunks)):
            self._file(number).unlink(missing_ok=True)
        return True

    def remove(self) -> None:
        """Delete everything here; another run into the same file may do so at the same time."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, chunk: int) -> FilePath:
        return self.folder / f"{chunk:03d}.safetensors"

    @staticmethod
    def _read(tensors: dict[str, torch.Tensor], layer: str) -> Moments:
        mean, squares, nonzero = (tensors[f"{field}/{layer}"] for field in ("mean", "squares", "nonzero"))
        return Moments(int(tensors[f"size/{layer}"]), mean, squares, nonzero)


class StatisticsModule(LightningModule):
    """One pass over the blocks of a dataset that writes the moments of each chunk.

    The blocks of a chunk must come one after the other, which is what `BlockDataModule.group` is for.

    Args:
        network: The model.
        chunks: Where the moments go; its layers are observed.
    """

    def __init__(self, network: Backbone, chunks: ChunkedStatistics) -> None:
        super().__init__()
        self.network = network
        self.chunks = chunks
        self._moments: dict[str, Moments] = {}

    @property
    def preprocessing(self) -> Preprocessing:
        """How the data module has to prepare images."""
        return self.network.preprocessing

    def predict_step(self, batch: Batch) -> None:
        """Merge one block into its chunk, and write the chunk after its last block."""
        if len(batch.images):
            with frozen(self.network), torch.no_grad():
                observed = observe(self.network.path(self.chunks.layers), batch.images)
            self._moments = merge_moments(self._moments, observed)
        chunk = self.chunks.chunk_of(batch.block)
        if batch.block == self.chunks.chunks[chunk][-1]:
            self.chunks.write(chunk, self._moments)
            self._moments = {}
