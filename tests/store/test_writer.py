from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from lit_coiba.core.errors import InputError
from lit_coiba.store import BlockRecord, ExplanationStore
from lit_coiba.store.writer import StoreWriter
from tests.store.synthetic import manifest, record

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),  # Lightning with the newest torch
]


class Explained(LightningModule):
    def predict_step(self, batch: Tensor) -> BlockRecord:
        block = int(batch)
        return record(block, range(4 * block, 4 * block + 3), failed=[4 * block + 3], top=2)


class Maps(LightningModule):
    def predict_step(self, batch: Tensor) -> Tensor:
        return torch.zeros(1, 2, 2)


def predict(module: LightningModule, writer: StoreWriter, numbers: list[int]) -> None:
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        callbacks=[writer],
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    loader = DataLoader(torch.tensor(numbers), batch_size=None)
    trainer.predict(module, loader, return_predictions=False)


def test_writes_each_block_and_counts(tmp_path: Path) -> None:
    store = ExplanationStore.open(tmp_path, manifest())
    writer = StoreWriter(store)
    predict(Explained(), writer, [2, 0])
    assert store.missing(3) == [1]
    assert (writer.blocks, writer.rows, writer.images, writer.failures) == (2, 12, 6, 2)
    predict(Explained(), writer, store.missing(3))
    assert store.missing(3) == []
    assert (writer.blocks, writer.rows, writer.images, writer.failures) == (3, 18, 9, 3)
    assert (len(store), len(store.ids()), len(store.failures())) == (18, 9, 3)


def test_a_block_is_on_disk_before_the_next_one_starts(tmp_path: Path) -> None:
    store = ExplanationStore.open(tmp_path, manifest())

    class Stops(Explained):
        def predict_step(self, batch: Tensor) -> BlockRecord:
            if int(batch) == 2:
                raise InputError("sample 9 is bad")
            return super().predict_step(batch)

    with pytest.raises(InputError, match="sample 9 is bad"):
        predict(Stops(), StoreWriter(store), [0, 1, 2, 3])
    assert store.missing(4) == [2, 3]


def test_refuses_what_is_not_a_record(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="must return a BlockRecord, not Tensor"):
        predict(Maps(), StoreWriter(ExplanationStore.open(tmp_path, manifest())), [0])
