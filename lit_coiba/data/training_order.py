"""The order in which training samples are seen: it follows from the seed and the epoch, so a resumed fit repeats it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch.utils.data import Dataset, DistributedSampler


class TrainingOrder(DistributedSampler):
    """A permutation of the samples for each epoch, dealt over the processes.

    It is a DistributedSampler because Lightning tells those the epoch, and replaces any other where there are several
    processes. A fit that goes on in the middle of an epoch leaves out the batches that were done.

    Args:
        samples: What is drawn from.
        batch_size: Number of samples of a batch of one process.
        trainer: Trainer that fits; None = one process, from the beginning.
    """

    def __init__(self, samples: Dataset[Any], batch_size: int, trainer: Any = None) -> None:
        processes, rank = (trainer.world_size, trainer.global_rank) if trainer is not None else (1, 0)
        seed = int(os.environ.get("PL_GLOBAL_SEED", torch.initial_seed() % 2**32))  # what `seed_everything` was given
        super().__init__(samples, processes, rank, shuffle=True, seed=seed)
        self._batch_size, self._trainer = batch_size, trainer

    def __iter__(self) -> Iterator[int]:
        """The samples of this process that are left of the epoch."""
        return islice(super().__iter__(), self._done() * self._batch_size, None)

    def _done(self) -> int:
        """Batches of this epoch that were done before the fit was stopped."""
        loop = getattr(self._trainer, "fit_loop", None)
        if loop is None or not loop.restarting:
            return 0
        done = int(loop.epoch_loop.batch_progress.current.processed)
        return done if done * self._batch_size < self.num_samples else 0
