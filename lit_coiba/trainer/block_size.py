"""How many images a block has, and how many run at once, where that is left to the memory there is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lit_coiba.core.batched_evaluator import most_at_once
from lit_coiba.core.errors import InputError
from lit_coiba.core.memory import available_memory, memory_of_an_image
from lit_coiba.store.manifest import FILE_NAME, Manifest

if TYPE_CHECKING:
    from lit_coiba.trainer.block_run import BlockRun

MOST = 128  # images of a block, ours: what a killed process loses, and a file of a store
SHARE = 2  # of the memory half is taken: an estimate may be wrong, and others want some too


class Room(NamedTuple):
    """What there is memory for."""

    images: int | None  # forward and backward at once, by one process; None = nobody says
    fastest: int  # images beyond which the device is no faster

    @property
    def block(self) -> int:
        """Images of a block: a power of two."""
        most = min(MOST, self.fastest, *([] if self.images is None else [self.images]))
        return 1 << (most.bit_length() - 1)


@contextmanager
def sized(run: BlockRun[Any], folder: Path | None) -> Iterator[None]:
    """Within this, blocks have the size that `data.batch_size` says, or that is chosen, the same in all processes.

    The method takes no more model inputs at once than there is memory for, where its `chunk` is ``auto``.

    Args:
        run: The run; its images are listed.
        folder: Folder of its results; None = it has none. What goes on there keeps the size of its blocks.
    """
    method: Any = getattr(run.model, "method", None)
    automatic = run.datamodule.batch_size == "auto"
    chunked = getattr(method, "chunk", None) == "auto"
    if not automatic and not chunked:
        yield
        return
    room = run.on_rank_zero(lambda: room_of(run))
    kept = run.on_rank_zero(lambda: kept_size(folder)) if automatic and folder is not None else None
    size = kept or room.block
    if automatic:
        run.told_size = f"; data.batch_size auto = {size}" + (", as the results there have" if kept else "")
    if chunked and room.images is not None:
        method.has_room(room.images)
        if room.images < room.fastest:
            run.told_size += f"; chunk auto = {room.images} model inputs at most, by the memory there is"
    try:
        with run.datamodule.in_blocks_of(size):
            yield
    finally:
        if chunked:
            method.has_room(None)


def room_of(run: BlockRun[Any]) -> Room:
    """What there is memory for on the device of a run."""
    device, size = run.trainer.strategy.root_device, run.model.preprocessing.size
    memory = available_memory(device)
    if memory is not None and device.type == "cpu":
        memory //= run.trainer.num_devices  # processes of this machine
    images = None if memory is None else max(1, memory // SHARE // memory_of_an_image(run.model.network, size))
    return Room(images, most_at_once(size[0] * size[1], device))


def kept_size(folder: Path) -> int | None:
    """Images of a block of the results in a folder; None where there are none."""
    for file in (file for depth in ("", "*/", "*/*/") for file in sorted(folder.glob(f"{depth}{FILE_NAME}"))):
        with suppress(InputError, OSError):
            if size := Manifest.load(file.parent).identity.get("block_size"):
                return int(size)
    return None
