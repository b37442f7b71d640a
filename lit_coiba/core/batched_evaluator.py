"""Many perturbed copies of a few images through a model, as many at once as memory allows."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.functional import fp64_where_possible

Chunk = int | Literal["auto"]
Found = TypeVar("Found", Tensor, tuple[Tensor, ...])  # what is evaluated: one tensor, or several that belong together
Evaluate = Callable[[slice, slice], Found]
Join = Callable[[list[Tensor]], Tensor]
Report = Callable[[int, int], None]

CPU_PIXELS = 8 * 224 * 224  # of the copies that run at once; on a CPU more is slower, since they leave its caches
GPU_PIXELS = 256 * 224 * 224
FEWEST, MOST = 8, 512  # copies that `auto` starts with, whatever their size

_NO_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "failed to allocate",
    "could not create a primitive",  # what oneDNN, which runs torch's convolutions on a CPU, says
    "could not create a memory",
)

_reports: list[Report] = []


def most_at_once(pixels: int, device: torch.device) -> int:
    """Model inputs of so many pixels beyond which a device is no faster, or a CPU slower."""
    return max(FEWEST, min(MOST, (GPU_PIXELS if device.type == "cuda" else CPU_PIXELS) // max(1, pixels)))


@contextmanager
def on_progress(report: Report) -> Iterator[None]:
    """Inside, ``report(done, total)`` is called after every piece with numbers of copies of a batch."""
    _reports.append(report)
    try:
        yield
    finally:
        _reports.remove(report)


def report_progress(done: int, total: int) -> None:
    """Report that `done` of `total` perturbed copies of a batch have run, to whoever asked by `on_progress`."""
    for report in _reports:
        report(done, total)


class BatchedEvaluator:
    """Evaluates copies of each image in pieces; a piece that does not fit in memory is halved and run again.

    The limit found where memory ran out holds for the next batches too, and is warned about once. The size of the
    pieces decides neither what is drawn nor what is summed, only the rounding of sums.

    Args:
        chunk: Number of model inputs at once; ``auto`` = a number for the device and the size of the images. It is
            halved where memory runs out.
        weight: Memory of one evaluation in forwards of one model input, for ``auto``.

    Raises:
        InputError: `chunk` is neither a whole number above 0 nor ``auto``.

    Example:
        >>> images = torch.ones(2, 3, 4, 4)
        >>> def scaled(copies, rows):
        ...     return torch.arange(3.0)[copies].unsqueeze(1) * images[rows].mean((1, 2, 3))
        >>> BatchedEvaluator().gather(images, 3, scaled).tolist()
        [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]
    """

    def __init__(self, chunk: Chunk = "auto", weight: int = 1) -> None:
        if chunk != "auto" and (not isinstance(chunk, int) or isinstance(chunk, bool) or chunk < 1):
            raise InputError(f"chunk is {chunk!r}: give the number of model inputs at once, 1 or more, or auto")
        self.chunk = chunk
        self.weight = weight
        self._limit: int | None = None  # inputs at once, found where memory ran out
        self._room: int | None = None  # inputs that there is memory for, as far as was told
        self._warned = False

    def gather(self, images: Tensor, copies: int, evaluate: Evaluate[Found]) -> Found:
        """``evaluate(copies, rows)``, ``(k, r, ...)`` each, for all copies of all images: ``(copies, B, ...)``.

        Args:
            images: Images ``(B, ...)``, whose size and device decide how many run at once.
            copies: Number of copies of each image.
            evaluate: Function of two slices, of copies and of images, that returns one tensor or a tuple of them;
                called again for a part of them after memory ran out, so it keeps nothing.

        Returns:
            One tensor, or a tuple, as `evaluate` returns it.
        """
        rows = []
        for row in self.rows(images):
            parts = []
            for some in self._parts(copies, row, images):
                parts.append(self._halving(evaluate, some, row, torch.cat, 1, images))
                report_progress(row.start * copies + some.stop * (row.stop - row.start), copies * len(images))
            rows.append(_joined(parts, torch.cat))
        found: Found = _joined(rows, partial(torch.cat, dim=1))
        return found

    def accumulate(self, images: Tensor, copies: int, evaluate: Evaluate[Found]) -> Found:
        """The sum over all copies of ``evaluate(copies, rows)``, ``(r, ...)``: ``(B, ...)``.

        Pieces are added in fp64 where the device has it, and returned in the precision of `evaluate`.

        Args:
            images: Images ``(B, ...)``, whose size and device decide how many run at once.
            copies: Number of copies of each image.
            evaluate: Function as for `gather`, which sums over the copies that it is given.

        Returns:
            One tensor, or a tuple, as `evaluate` returns it.
        """
        rows = []
        for row in self.rows(images):
            total: Any = None
            for some in self._parts(copies, row, images):
                part = self._halving(evaluate, some, row, _summed, 0, images)
                wide = _joined([part], _widened)
                total = wide if total is None else _joined([total, wide], _summed)
                report_progress(row.start * copies + some.stop * (row.stop - row.start), copies * len(images))
            assert total is not None
            rows.append(_joined([total, part], _narrowed))
        found: Found = _joined(rows, torch.cat)
        return found

    def at_once(self, images: Tensor) -> int:
        """Model inputs of the size and on the device of `images` that run at once."""
        if self._limit is not None:
            return self._limit
        if self.chunk != "auto":
            return int(self.chunk)
        fast = most_at_once(images[0].numel() // 3 * self.weight, images.device)
        return fast if self._room is None else max(1, min(fast, self._room // self.weight))

    def has_room(self, inputs: int | None) -> None:
        """Say how many model inputs there is memory for, which ``auto`` keeps to; None = unknown."""
        self._room = inputs

    def rows(self, images: Tensor) -> Iterator[slice]:
        """As many images at once as suit the device, one piece after the other."""
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

    def _halving(
        self, evaluate: Evaluate[Found], copies: slice, rows: slice, join: Join, axis: int, images: Tensor
    ) -> Any:
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
            return _joined([self._halving(evaluate, half, rows, join, axis, images) for half in halves], join)
        parts = [self._halving(evaluate, copies, half, join, axis, images) for half in _halves(rows)]
        return _joined(parts, partial(torch.cat, dim=axis))

    def _learn(self, size: int) -> None:
        """`size` inputs were too many at once."""
        self._limit = max(1, size // 2)
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"memory ran out with {size} model inputs at once: continuing with {self._limit}, or fewer if it runs "
                "out again; the maps stay the same. Set a smaller chunk to avoid this",
                stacklevel=2,
            )


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return any(words in str(error).lower() for words in _NO_MEMORY)


def _halves(whole: slice) -> list[slice]:
    middle = (whole.start + whole.stop) // 2
    return [slice(whole.start, middle), slice(middle, whole.stop)]


def _joined(parts: list[Any], join: Join) -> Any:
    """One result from several: a tensor from tensors, or a tuple from tuples, each of its entries by itself."""
    return tuple(join(list(entry)) for entry in zip(*parts)) if isinstance(parts[0], tuple) else join(parts)


def _summed(parts: list[Tensor]) -> Tensor:
    return parts[0] + parts[1]


def _widened(parts: list[Tensor]) -> Tensor:
    """The only part, in fp64 where the device has it."""
    return fp64_where_possible(parts[0])


def _narrowed(parts: list[Tensor]) -> Tensor:
    """The first part in the precision of the second."""
    return parts[0].to(parts[1].dtype)
