"""Many perturbed copies of a few images through a model, as many at once as memory allows."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.functional import fp64_where_possible

Chunk = int | Literal["auto"]
Evaluate = Callable[[slice, slice], Tensor]
Join = Callable[[list[Tensor]], Tensor]
Report = Callable[[int, int], None]

CPU_PIXELS = 8 * 224 * 224  # of the copies that run at once; more is slower on a CPU, whose caches they leave
GPU_PIXELS = 256 * 224 * 224
FEWEST, MOST = 8, 512  # copies that `auto` starts with, whatever their size

_NO_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "failed to allocate",
    "could not create a primitive",  # what oneDNN, torch's convolutions on a CPU, makes of it
    "could not create a memory",
)


_watching: list[Report] = []


@contextmanager
def on_progress(watching: Report) -> Iterator[None]:
    """Inside, ``watching(done, all)`` is called after every piece: copies of a batch that have run, and that will."""
    _watching.append(watching)
    try:
        yield
    finally:
        _watching.remove(watching)


def report_progress(done: int, copies: int) -> None:
    """Let those know who watch that so many of the perturbed copies of a batch have run."""
    for watching in _watching:
        watching(done, copies)


class BatchedEvaluator:
    """Evaluates `copies` of each image in pieces; a piece that does not fit in memory is halved and run again.

    What is found out about memory stays for the next batch, and is said once. The size of the pieces decides neither
    what is drawn nor what is summed, only the rounding of sums.

    Args:
        chunk: Model inputs at once; ``auto`` = a number for the device and the size of the images. Halved where memory
            runs out, whatever it is.
        weight: How many times as much as a forward of one model input takes, for ``auto``.

    Raises:
        InputError: `chunk` is no positive number, nor ``auto``.
    """

    def __init__(self, chunk: Chunk = "auto", weight: int = 1) -> None:
        if chunk != "auto" and (not isinstance(chunk, int) or isinstance(chunk, bool) or chunk < 1):
            raise InputError(f"chunk is {chunk!r}: give the number of model inputs at once, 1 or more, or auto")
        self.chunk = chunk
        self.weight = weight
        self._limit: int | None = None  # found out, where memory ran out
        self._warned = False

    def gather(self, images: Tensor, copies: int, evaluate: Evaluate) -> Tensor:
        """``evaluate(some copies, some images)``, ``(k, r, ...)`` each, for all of them: ``(copies, B, ...)``.

        Args:
            images: ``(B, ...)``; their size and device decide how many run at once.
            copies: Of each image.
            evaluate: Is given two slices, of copies and of images; called again for a part of them after memory ran
                out, so it keeps nothing.
        """
        rows = []
        for row in self._rows(images):
            parts = []
            for some in self._parts(copies, row, images):
                parts.append(self._halving(evaluate, some, row, torch.cat, 1, images))
                report_progress(row.start * copies + some.stop * (row.stop - row.start), copies * len(images))
            rows.append(torch.cat(parts))
        return torch.cat(rows, 1)

    def accumulate(self, images: Tensor, copies: int, evaluate: Evaluate) -> Tensor:
        """The sum over all copies of ``evaluate(some copies, some images)``, ``(r, ...)``: ``(B, ...)``.

        Pieces are added in fp64 where the device has it, and returned in the precision of `evaluate`.
        """
        rows = []
        for row in self._rows(images):
            total: Tensor | None = None
            for some in self._parts(copies, row, images):
                part = self._halving(evaluate, some, row, _summed, 0, images)
                precise = fp64_where_possible(part)
                total = precise if total is None else total + precise
                report_progress(row.start * copies + some.stop * (row.stop - row.start), copies * len(images))
            assert total is not None
            rows.append(total.to(part.dtype))
        return torch.cat(rows)

    def at_once(self, images: Tensor) -> int:
        """Model inputs of the size and on the device of `images` that run at once."""
        if self._limit is not None:
            return self._limit
        if self.chunk != "auto":
            return int(self.chunk)
        pixels = max(1, images[0].numel() // 3) * self.weight
        return max(FEWEST, min(MOST, (GPU_PIXELS if images.is_cuda else CPU_PIXELS) // pixels))

    def _rows(self, images: Tensor) -> Iterator[slice]:
        start = 0
        while start < len(images):
            stop = min(len(images), start + self.at_once(images))
            yield slice(start, stop)
            start = stop

    def _parts(self, copies: int, rows: slice, images: Tensor) -> Iterator[slice]:
        start = 0
        while start < copies:
            stop = min(copies, start + max(1, self.at_once(images) // (rows.stop - rows.start)))
            yield slice(start, stop)
            start = stop

    def _halving(self, evaluate: Evaluate, copies: slice, rows: slice, join: Join, axis: int, images: Tensor) -> Tensor:
        """One piece; where it does not fit in memory, its halves: of the copies or, of a single copy, of the images."""
        count, height = copies.stop - copies.start, rows.stop - rows.start
        if self._limit is None or count * height <= self._limit:  # else it is known not to fit
            try:
                return evaluate(copies, rows)
            except (RuntimeError, MemoryError) as error:
                if count * height == 1 or not _out_of_memory(error):
                    raise
            gc.collect()  # what the failed forward held
            if images.is_cuda:
                torch.cuda.empty_cache()
            self._learn(count * height)
        if count > 1:
            halves = _halves(copies)
            return join([self._halving(evaluate, half, rows, join, axis, images) for half in halves])
        return torch.cat([self._halving(evaluate, copies, half, join, axis, images) for half in _halves(rows)], axis)

    def _learn(self, size: int) -> None:
        """`size` inputs were too many at once."""
        self._limit = max(1, size // 2)
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"memory ran out with {size} model inputs at once: going on with {self._limit}, and fewer where it runs"
                " out again; the maps stay the same. A smaller chunk starts lower",
                stacklevel=2,
            )


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return any(words in str(error).lower() for words in _NO_MEMORY)


def _halves(whole: slice) -> list[slice]:
    middle = (whole.start + whole.stop) // 2
    return [slice(whole.start, middle), slice(middle, whole.stop)]


def _summed(parts: list[Tensor]) -> Tensor:
    return parts[0] + parts[1]
