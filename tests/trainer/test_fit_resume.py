"""A real `lit-coiba fit`, killed in the middle of an epoch, goes on from its last checkpoint and ends as well."""

import csv
import os
import signal
import subprocess
import sys
import time
import warnings

import pytest
import torch

from lit_coiba.cli import main
from lit_coiba.data.synthetic.dataset import SPLITS
from tests._testers.runs import PATIENCE, ROOT

EPOCHS, BATCHES = 6, 10  # batches of an epoch
FEW = {"train": range(640), "val": range(10_000, 10_200), "test": range(11_000, 11_010)}
# `lit-coiba` on few samples; it stands still in the middle of epoch 3, until it is killed.
SCRIPT = f"""
import sys, time, warnings
from pathlib import Path
warnings.simplefilter("ignore")
from lit_coiba.cli import main
from lit_coiba.data.synthetic.dataset import SPLITS
from lit_coiba.training.classifier import Classifier

SPLITS.update({FEW})
step = Classifier.training_step

def slow(self, batch, batch_idx):
    if (self.current_epoch, batch_idx) == (3, 5):
        Path("reached").touch()
        time.sleep(1000)
    return step(self, batch, batch_idx)

Classifier.training_step = slow
sys.exit(main(sys.argv[1:]))
"""
NAME = "infodisent_synthetic_parts"
WORDS = [
    *("fit", "-c", f"configs/experiment/{NAME}.yaml", "--model.head.pooling", "hard"),
    *("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--trainer.max_epochs", str(EPOCHS)),
    *("--trainer.logger", "lightning.pytorch.loggers.CSVLogger", "--trainer.logger.save_dir", "runs"),
    *("--trainer.logger.name", NAME, "--trainer.log_every_n_steps", "1", "--data.batch_size", "64"),
]


def start(folder):
    """The command in a process of its own, which stands still before it has ended."""
    (folder / "script.py").write_text(SCRIPT)
    variables = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.Popen([sys.executable, "script.py", *WORDS], cwd=folder, env={**os.environ, **variables})


def finish(folder, *words):
    """The command from its start to its end, in this process."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.chdir(folder)
        for split, samples in FEW.items():
            patch.setitem(SPLITS, split, samples)
        assert main([*WORDS, *words]) == 0


def logged(version):
    """Epoch and step of each training step, and the validation accuracy of each epoch."""
    with (version / "metrics.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    steps = [(int(row["epoch"]), int(row["step"])) for row in rows if row.get("train/loss")]
    return steps, {int(row["epoch"]): float(row["val/accuracy"]) for row in rows if row.get("val/accuracy")}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folder of an undisturbed run, and of one that was killed and went on, with the same cache."""
    straight, killed = tmp_path_factory.mktemp("straight"), tmp_path_factory.mktemp("killed")
    finish(straight)
    (killed / "runs").mkdir()
    (killed / "runs" / "features").symlink_to(straight / "runs" / "features")
    run = start(killed)
    try:
        deadline = time.monotonic() + PATIENCE
        while not (killed / "reached").exists():
            assert run.poll() is None, "the run ended by itself"
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        run.kill()
        run.wait(PATIENCE)
        assert run.returncode == -signal.SIGKILL
    finish(killed, "--ckpt_path", f"runs/{NAME}/version_0/checkpoints/last.ckpt")
    return straight / "runs" / NAME, killed / "runs" / NAME


def test_the_killed_run_left_the_checkpoint_of_its_last_whole_epoch(runs):
    saved = torch.load(runs[1] / "version_0" / "checkpoints" / "last.ckpt", weights_only=True)
    assert (saved["epoch"], saved["global_step"]) == (2, 3 * BATCHES)
    assert not (runs[1] / "version_2").exists()


def test_it_went_on_with_the_epoch_in_which_it_was_killed(runs):
    steps, _ = logged(runs[1] / "version_1")
    assert steps == [(k // BATCHES, k) for k in range(3 * BATCHES, EPOCHS * BATCHES)]


def test_it_ends_with_the_accuracy_of_the_undisturbed_run(runs):
    _, straight = logged(runs[0] / "version_0")
    _, resumed = logged(runs[1] / "version_1")
    assert sorted(straight) == list(range(EPOCHS))
    assert sorted(resumed) == list(range(3, EPOCHS))
    assert straight[EPOCHS - 1] > 0.9
    assert resumed[EPOCHS - 1] == pytest.approx(straight[EPOCHS - 1], abs=0.0101)


def test_the_schedule_ends_at_the_same_learning_rate(runs):
    ends = [torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True) for folder in latest(runs)]
    rates = [end["optimizer_states"][0]["param_groups"][0]["lr"] for end in ends]
    assert rates[0] == rates[1] < 1e-6
    assert ends[0]["global_step"] == ends[1]["global_step"] == EPOCHS * BATCHES


def latest(runs):
    return runs[0] / "version_0", runs[1] / "version_1"
