"""Lightning's side of the store: every block that `predict_step` returns is on disk before the next one starts."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter

from lit_coiba.data.fingerprint import Fingerprint
from lit_coiba.store.records import BlockRecord, Records
from lit_coiba.store.store import ExplanationStore


class StoreWriter(BasePredictionWriter):
    """Writes the `BlockRecord` of each batch, and counts what this process wrote.

    Args:
        store: The store to write to.
        samples: The samples, whose versions are noted with each row; None = not known.
    """

    blocks: int  # written by this process so far
    rows: int  # explanations in them: one per (id, target)
    images: int  # samples that have at least one explanation
    failures: int  # samples recorded as failed

    def __init__(self, store: ExplanationStore, samples: Fingerprint | None = None) -> None:
        super().__init__(write_interval="batch")
        self.store = store
        self.versions = None if samples is None else dict(zip(samples.ids, samples.versions))
        self.blocks = self.rows = self.images = self.failures = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Lightning looks for indices of samples to hand to writers; ours have ids, which travel in the batch."""
        super().setup(trainer, pl_module, stage)
        warnings.filterwarnings("ignore", "Couldn't infer the batch indices")

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write one block.

        Raises:
            TypeError: `predict_step` returned something other than a `BlockRecord`.
            InputError: The block cannot be written.
        """
        if not isinstance(prediction, BlockRecord):
            raise TypeError(f"predict_step must return a BlockRecord, not {type(prediction).__name__}")
        self.write(prediction)

    def write(self, record: BlockRecord) -> None:
        """Write one block and count it.

        Raises:
            InputError: The block cannot be written.
        """
        if self.versions is not None:
            record = record._replace(versions=tuple(self.versions[name] for name in record.ids))
        self.store.write(record)
        self.blocks += 1
        self.rows += len(record.ids)
        self.images += len(set(record.ids))
        self.failures += len(record.failures)


class StoresWriter(BasePredictionWriter):
    """Writes the `Records` of each batch, each of its records to a store of its own.

    Args:
        stores: Store of each name in the records.
        samples: The samples, whose versions are noted with each row; None = not known.
    """

    def __init__(self, stores: Mapping[str, ExplanationStore], samples: Fingerprint | None = None) -> None:
        super().__init__(write_interval="batch")
        self.writers = {name: StoreWriter(store, samples) for name, store in stores.items()}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """See `StoreWriter.setup`."""
        super().setup(trainer, pl_module, stage)
        for writer in self.writers.values():
            writer.setup(trainer, pl_module, stage)

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write one block to every store that it has a record for.

        Raises:
            TypeError: `predict_step` returned something other than `Records`.
            InputError: A block cannot be written.
        """
        if not isinstance(prediction, Records):
            raise TypeError(f"predict_step must return Records, not {type(prediction).__name__}")
        for name, record in prediction.stores.items():
            self.writers[name].write(record)
