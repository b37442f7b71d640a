"""What a run costs is told before it starts, and how long it takes after its first block; a log file holds lines."""

import io
from contextlib import redirect_stderr

import pytest
import torch
from lightning import LightningModule, Trainer
from torch.utils.data import DataLoader

from lit_coiba.callbacks import BlockProgress
from lit_coiba.callbacks.log_progress import Interval, LogProgress
from lit_coiba.callbacks.progress import duration
from lit_coiba.cli import main
from lit_coiba.metrics import Deletion, EnergyPointing, Insertion
from tests.callbacks.test_progress import Blocks, Clock, Copying, Working

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*LeafSpec", "ignore:predict")
TINY = [
    *("--model.backbone.name", "vit_tiny_patch16_224", "--model.backbone.image_size", "32"),
    *("--model.backbone.num_classes", "2"),
    *("--model.backbone.timm_kwargs", "{depth: 1, embed_dim: 12, num_heads: 2, patch_size: 16}"),
    *("--trainer.accelerator", "cpu", "--data.num_workers", "0"),
]


def lines(module, progress, blocks=5):
    trainer = Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_model_summary=False, callbacks=[progress]
    )
    loader = DataLoader(Blocks(blocks), batch_size=None, num_workers=0, collate_fn=lambda batch: batch)
    stream = io.StringIO()
    with redirect_stderr(stream):
        trainer.predict(module, loader, return_predictions=False)
    assert "\r" not in stream.getvalue()
    return stream.getvalue().splitlines()


def test_the_plan_comes_first_and_the_time_after_the_first_block(monkeypatch):
    clock = Clock(monkeypatch)
    told = lines(Working(clock, seconds=60.0), BlockProgress("Scoring", plan="scoring 20 explanations", passes=3))
    assert told[0] == "lit-coiba: scoring 20 explanations"
    assert told[1] == "lit-coiba: about 15 min in all, measured on the first block (0.07 images/s)"
    assert told[-1].startswith("Scoring: 100%, 5/5 blocks, 00:00 left")


def test_what_is_over_in_seconds_is_not_reckoned(monkeypatch):
    told = lines(Working(Clock(monkeypatch), seconds=0.1), BlockProgress(plan="explaining 20 images"))
    assert [line for line in told if "in all" in line] == []


def test_the_copies_of_an_image_are_counted(monkeypatch):
    told = lines(Copying(Clock(monkeypatch)), BlockProgress(plan="explaining"), blocks=2)
    assert "30 perturbed copies an image" in told[4]


def test_a_log_file_of_a_day_has_some_hundred_lines(monkeypatch):
    clock, count = Clock(monkeypatch), 0
    interval = Interval()
    for _ in range(24 * 3600):
        clock.now += 1
        count += interval.due()
    assert 100 < count < 500


def test_times_are_told_in_their_unit():
    assert [duration(seconds) for seconds in (40, 600, 9000, 900000)] == ["40 s", "10 min", "2.5 h", "10.4 days"]


def test_a_metric_knows_its_forwards():
    assert Insertion().forwards((224, 224)) == Deletion().forwards((224, 224)) == 225
    assert Insertion(grid_size=8, steps=16).forwards((224, 224)) == 17
    assert EnergyPointing().forwards((224, 224)) == 0


def test_explain_and_benchmark_tell_forwards_beforehand(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data = ["--data", "SyntheticParts", "--data.limit", "2"]
    assert main(["explain", *TINY, *data, "--model.method", "Occlusion", "--store", "s"]) == 0
    told = capsys.readouterr().err
    assert (
        "lit-coiba: explaining 2 images with Occlusion, a map an image; cost of a map by default: 1 + windows forwards"
        in told
    )
    words = ["--stores", "s", "--output", "b", "--model.metrics.best", "Insertion", "--model.metrics.best.steps", "4"]
    assert main(["benchmark", *TINY, *data, *words]) == 0
    told = capsys.readouterr().err
    assert "lit-coiba: scoring 2 explanations in each of " in told
    assert "by best: about 5 forwards a score, " in told


def test_a_fit_in_a_log_file_has_a_line_an_epoch():
    class Module(LightningModule):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def training_step(self, batch, batch_idx):
            loss = ((self.weight - batch) ** 2).mean()
            self.log("train/loss", loss, prog_bar=True)
            return loss

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    stream = io.StringIO()
    with redirect_stderr(stream):
        trainer = Trainer(
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            max_epochs=3,
            callbacks=[LogProgress()],
            log_every_n_steps=1,
        )
        trainer.fit(Module(), DataLoader(torch.ones(4), batch_size=2))
    told = [line for line in stream.getvalue().splitlines() if line.startswith("epoch")]
    assert [line.partition(",")[0] for line in told] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert all(", train/loss " in line for line in told)
    assert "\r" not in stream.getvalue()
