"""Activation statistics over a dataset: one sharded pass, resumable, the same numbers on one process or many."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import save

from lit_coiba.backbones import Backbone
from lit_coiba.bottlenecks.statistics import ActivationStatistics, merge_moments, observe
from lit_coiba.core.batch import Batch
from lit_coiba.core.errors import InputError
from lit_coiba.core.frozen import frozen
from lit_coiba.data.shard import Shard
from lit_coiba.files.atomic import atomically
from lit_coiba.files.regular import read_bytes
from lit_coiba.functional import Moments
from lit_coiba.modules.block_module import BlockModule
from lit_coiba.store.chunks import Chunks

LARGEST = 2**32  # bytes of a file of statistics
FEW_IMAGES = 200  # fewer make the standard deviations noisy


class ChunkedStatistics(Chunks):
    """Partial moments on disk: blocks are merged in order within a chunk, chunks in order at the end.

    Args:
        folder: Folder of the files; made when the first one is written.
        blocks: Block numbers, at least one.
        layers: The layers that are observed.
    """

    def __init__(self, folder: Path, blocks: Sequence[int], layers: list[str]) -> None:
        super().__init__(folder, blocks)
        self.layers = layers

    @property
    def result(self) -> Path:
        """What all chunks together gave, once one of the runs has put them together."""
        return self.folder / "statistics.safetensors"

    def missing(self, shard: Shard = Shard(0, 1)) -> list[int]:  # noqa: B008 - a tuple
        """Blocks of the chunks that are not on disk yet, in order; none where nothing is left to observe."""
        return [] if self.result.exists() else super().missing(shard)

    def write(self, chunk: int, moments: dict[str, Moments]) -> None:
        """Put the moments of a chunk in place, complete or not at all; none where no image could be read."""
        self.folder.mkdir(parents=True, exist_ok=True)
        tensors = {
            f"{field}/{layer}": torch.as_tensor(value, dtype=torch.float64).cpu().contiguous()
            for layer, m in moments.items()
            for field, value in m._asdict().items()
        }
        with atomically(self.file(chunk)) as file:
            file.write(save(tensors))

    def merged(self) -> dict[str, Moments]:
        """Moments of all chunks, merged in their order."""
        moments: dict[str, Moments] = {}
        for number in range(len(self.chunks)):
            tensors = self.content(number)
            if tensors:
                moments = merge_moments(moments, {layer: self._read(tensors, layer) for layer in self.layers})
        return moments

    def statistics(self, network: Backbone) -> ActivationStatistics:
        """What all chunks together say about the layers of `network`.

        Raises:
            InputError: Fewer than two images could be read. The chunks are removed then, as the files may be fixed.
        """
        moments = self.merged()
        seen = next(iter(moments.values())).size if moments else 0
        if seen < 2:
            self.remove()
            raise InputError(f"activation statistics need at least two readable images, but the data have {seen}")
        if seen < FEW_IMAGES:
            warnings.warn(
                f"activation statistics of only {seen} images are noisy (a standard deviation is off by about "
                f"{100 / math.sqrt(2 * (seen - 1)):.0f}%): use {FEW_IMAGES} or more of the same domain, lit-coiba "
                "statistics --data.root OTHER --file FILE, and give that file as method.statistics",
                stacklevel=2,
            )
        return ActivationStatistics.from_moments(network, moments)

    def put(self, file: Path, network: Backbone, finish: Callable[[ActivationStatistics], Any]) -> bool:
        """Write the statistics to `file`: what the first of all runs in this folder made of the chunks, for all alike.

        Args:
            file: File to write.
            network: The model.
            finish: What makes the statistics final, such as a leak test.

        Returns:
            False where another run has removed the chunks meanwhile.
        """
        try:
            if not self.result.exists():
                with TemporaryDirectory() as scratch:
                    finish(self.statistics(network)).save(Path(scratch) / "statistics")
                    content = read_bytes(Path(scratch) / "statistics", LARGEST)
                with suppress(FileExistsError), atomically(self.result, exclusive=True) as out:
                    out.write(content)
            content = read_bytes(self.result, LARGEST)
        except FileNotFoundError:
            return False
        with atomically(file) as out:
            out.write(content)
        for number in range(len(self.chunks)):
            self.file(number).unlink(missing_ok=True)
        return True

    @staticmethod
    def _read(tensors: dict[str, torch.Tensor], layer: str) -> Moments:
        mean, squares, nonzero = (tensors[f"{field}/{layer}"] for field in ("mean", "squares", "nonzero"))
        return Moments(int(tensors[f"size/{layer}"]), mean, squares, nonzero)


class StatisticsModule(BlockModule):
    """One pass over the blocks of a dataset that writes the moments of each chunk.

    The blocks of a chunk must come one after the other, which is what `Pass.blocks_per_process` is for.

    Args:
        backbone: The model.
        chunks: Files of moments, which say what layers are observed.
    """

    def __init__(self, backbone: Backbone, chunks: ChunkedStatistics) -> None:
        super().__init__(backbone)
        self.chunks = chunks
        self._moments: dict[str, Moments] = {}

    def predict_step(self, batch: Batch) -> None:
        """Merge one block into its chunk, and write the chunk after its last block."""
        if len(batch.images):
            with frozen(self.network), torch.no_grad():
                observed = observe(self.network.split(self.chunks.layers), batch.images)
            self._moments = merge_moments(self._moments, observed)
        chunk = self.chunks.ended_by(batch.block)
        if chunk is not None:
            self.chunks.write(chunk, self._moments)
            self._moments = {}
