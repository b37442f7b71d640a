import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.utilities.warnings import PossibleUserWarning
from torch.utils.data import DataLoader

from lit_coiba.core.batch import Batch
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data.module import BlockDataModule, Pass
from tests._testers.pictures import Pictures

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")  # Lightning with the newest torch

SMALL = Preprocessing((8, 8), 1.0, "nearest")
LARGE = Preprocessing((16, 24), 0.9, "bilinear")


class Album(BlockDataModule):
    def __init__(self, count=10, broken=(), **arguments):
        super().__init__(**arguments)
        self.pictures = Pictures(count, broken)

    def dataset(self, split):
        return self.pictures


class Recorder(LightningModule):
    def __init__(self, preprocessing=SMALL):
        super().__init__()
        self.preprocessing = preprocessing
        self.weight = torch.nn.Linear(3, 3)
        self.seen = []

    def predict_step(self, batch):
        self.seen.append(batch)
        return batch.block

    def training_step(self, batch):
        self.seen.append(batch)
        return torch.nn.functional.cross_entropy(self.weight(batch[0].mean((2, 3))), batch[1])

    def validation_step(self, batch):
        self.seen.append(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def trainer(tmp_path, **arguments):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=1,
        enable_checkpointing=False,
        default_root_dir=tmp_path,
        **quiet,
        **arguments,
    )


@pytest.mark.parametrize("workers", [0, 1])
def test_predict_gives_every_block_once_with_its_failures(workers, tmp_path):
    model, data = Recorder(), Album(10, {3}, batch_size=4, num_workers=workers)
    trainer(tmp_path).predict(model, data, return_predictions=False)
    assert all(isinstance(batch, Batch) for batch in model.seen)
    assert [batch.block for batch in model.seen] == [0, 1, 2]
    assert [name for batch in model.seen for name in batch.ids] == [
        name for name in data.pictures.ids if name != "picture_0003"
    ]
    assert [batch.failures for batch in model.seen] == [(("picture_0003", "the file is torn"),), (), ()]
    assert isinstance(model.seen[0].ids, tuple)
    assert data.total_blocks == 3


def test_only_blocks_that_are_left_are_done(tmp_path):
    model, data = Recorder(), Album(10, batch_size=4)
    with data.passing(Pass(blocks=[2, 0])):
        trainer(tmp_path).predict(model, data, return_predictions=False)
    assert [batch.block for batch in model.seen] == [2, 0]


def test_the_limit_chooses_what_is_explained_but_not_what_is_trained_on(tmp_path):
    data = Album(12, batch_size=2, limit=3)
    data.preprocessing = SMALL
    data.setup("predict")
    assert data.explained.ids == ["picture_0000", "picture_0004", "picture_0008"]
    assert data.total_blocks == 2
    assert len(data.test_dataloader()) == 6


def test_preprocessing_is_that_of_the_model_at_hand_unless_it_is_set(tmp_path):
    data = Album(2)
    for recipe in (SMALL, LARGE):
        model = Recorder(recipe)
        trainer(tmp_path).predict(model, data, return_predictions=False)
        assert data.transform.preprocessing is recipe
        assert data.preprocessing is None
        assert model.seen[0].images.shape[-2:] == recipe.size
    data.preprocessing = SMALL
    trainer(tmp_path).predict(Recorder(LARGE), data, return_predictions=False)
    assert data.transform.preprocessing is SMALL


def test_passes_are_nested_and_list_each_split_once():
    class Counting(Album):
        def dataset(self, split):
            listed.append(split)
            return super().dataset(split)

    listed, data = [], Counting(12, batch_size=2, limit=3)
    assert data.current == Pass(limit=3)
    with data.passing(Pass(limit=4)):
        data.setup("predict")
        assert (len(data.explained), data.total_blocks) == (4, 2)
        with data.passing(Pass()):
            data.setup("predict")
            assert (len(data.explained), data.total_blocks) == (12, 6)
            with data.passing(Pass("train", 5)):
                assert len(data.explained) == 5
            assert len(data.explained) == 12
        assert len(data.explained) == 4
    assert data.current == Pass(limit=3)
    assert listed == ["predict", "train"]
    data.setup("predict")
    assert listed == ["predict", "train", "predict"]  # another run looks again
    assert len(data.explained) == 3


def test_a_pass_over_no_images_is_refused():
    with pytest.raises(InputError, match="limit is 0: give a whole number, 1 or more"):
        Pass(limit=0)


def test_without_preprocessing_it_says_what_to_do():
    data = Album(2)
    data.setup("predict")
    for use in (data.predict_dataloader, data.train_dataloader):
        with pytest.raises(RuntimeError, match="preprocessing is unknown: set it, or let a Trainer call setup"):
            use()


def test_fit_shuffles_full_batches_and_validation_takes_all_in_order(tmp_path):
    model, data = Recorder(), Album(10, batch_size=4)
    torch.manual_seed(0)
    trainer(tmp_path, num_sanity_val_steps=0).fit(model, data)
    train, val = model.seen[:2], model.seen[2:]
    assert [len(images) for images, _ in train] == [4, 4]
    assert [labels.tolist() for _, labels in val] == [[0, 1, 2, 0], [1, 2, 0, 1], [2, 0]]
    order = torch.cat([images[:, 0, 0, 0] for images, _ in train])
    assert order.unique().numel() == 8
    assert not torch.equal(order, order.sort().values)


def test_a_set_smaller_than_a_batch_is_still_trained_on():
    data = Album(3, batch_size=4)
    data.preprocessing = SMALL
    assert [len(images) for images, _ in data.train_dataloader()] == [3]


def test_workers_are_repeatable_and_give_what_the_main_process_gives():
    runs = []
    for workers in (0, 1, 1):
        data = Album(12, batch_size=4, num_workers=workers)
        data.preprocessing = SMALL
        torch.manual_seed(5)
        loader = data.train_dataloader()
        assert loader.persistent_workers == (workers > 0)
        runs.append(torch.cat([images for images, _ in loader]))
    assert torch.equal(runs[1], runs[2])
    assert torch.equal(runs[0].sum(0), runs[1].sum(0))  # the order is drawn elsewhere, the samples are the same


def test_an_unreadable_picture_ends_training_with_its_name():
    data = Album(4, {2}, num_workers=1)
    data.preprocessing = SMALL
    with pytest.raises(InputError, match="sample picture_0002: the file is torn"):
        list(data.val_dataloader())


@pytest.mark.parametrize(("cores", "devices", "workers"), [(1, 1, 0), (2, 1, 0), (3, 1, 2), (16, 1, 4), (16, 8, 0)])
def test_workers_take_the_cores_to_spare(cores, devices, workers, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    data = Album(3)
    data.preprocessing = SMALL
    data.trainer = type("Run", (), {"num_devices": devices, "world_size": devices, "global_rank": 0})()
    loader = data.train_dataloader()
    assert isinstance(loader, DataLoader)
    assert loader.num_workers == workers


def test_the_number_of_workers_that_we_choose_is_not_complained_about(tmp_path, monkeypatch):
    monkeypatch.setattr("lightning.pytorch.trainer.connectors.data_connector.suggested_max_num_workers", lambda _: 15)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)
        with pytest.raises(PossibleUserWarning, match="does not have many workers"):  # but one that the user chose is
            trainer(tmp_path).predict(Recorder(), Album(2, num_workers=0), return_predictions=False)
        trainer(tmp_path).predict(Recorder(), Album(2), return_predictions=False)


def test_num_classes_are_those_of_the_names():
    data = Album(3)
    assert data.num_classes == 3
    data.pictures.classes = []
    assert data.num_classes is None


TWO_RANKS = """
import sys, torch
from lightning import Trainer
from lit_coiba.data.module import Pass
from tests.data.test_module import Album, Recorder
for blocks in (None, [1]):
    model, data = Recorder(), Album(10, {3}, batch_size=2)
    trainer = Trainer(accelerator="cpu", devices=2, strategy="ddp", logger=False, enable_progress_bar=False,
                      enable_checkpointing=False, enable_model_summary=False, default_root_dir=sys.argv[1])
    with data.passing(Pass(blocks=blocks)):
        trainer.predict(model, data, return_predictions=False)
    with open(f"{sys.argv[1]}/{'all' if blocks is None else 'one'}.{trainer.global_rank}", "w") as file:
        print(*(f"{b.block}:{'+'.join(n[-1] for n in b.ids)}" for b in model.seen), file=file)
"""


def test_two_processes_share_the_blocks_and_one_may_get_none(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(TWO_RANKS)
    root = str(Path(__file__).parents[2])
    run = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"},
        cwd=root,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    told = {path.name: path.read_text().split() for path in tmp_path.glob("*.[01]")}
    assert told == {"all.0": ["0:0+1", "2:4+5", "4:8+9"], "all.1": ["1:2", "3:6+7"], "one.0": ["1:2"], "one.1": []}
