"""`lit-coiba fit --model LipschitzClassifier` by two processes (gloo), and one that is killed and goes on."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from lit_coiba.backbones import Backbone
from lit_coiba.lipschitz import Certificate
from tests._testers.runs import PATIENCE, ROOT

# `lit-coiba` on few samples, which keeps its last weights; what is to be killed stands still in its third epoch.
SCRIPT = """
import os, sys, time, warnings
from pathlib import Path
warnings.simplefilter("ignore")
import torch
from lit_coiba.cli import main
from lit_coiba.data.synthetic.dataset import SPLITS
from lit_coiba.training import LipschitzClassifier

SPLITS.update(train=range(64), val=range(10_000, 10_016))
rank, step = os.environ.get("LOCAL_RANK", "0"), LipschitzClassifier.training_step

def slow(self, batch, batch_idx):
    if "stop" in os.environ and (self.current_epoch, batch_idx) == (2, 1):
        Path("reached").touch()
        time.sleep(1000)
    return step(self, batch, batch_idx)

def kept(self):
    torch.save(self.state_dict(), f"weights of rank {rank}.pt")

LipschitzClassifier.training_step, LipschitzClassifier.on_fit_end = slow, kept
sys.exit(main(sys.argv[1:]))
"""
NETWORK = {
    "name": "lipschitz_cnn",
    "image_size": "16",
    "num_classes": "20",
    "timm_kwargs": "{widths: [8, 16], strides: [2, 2], kernel_sizes: [3, 3]}",
}
WORDS = [
    *("fit", "--model", "LipschitzClassifier", "--model.loss", "soft_hkr", "--model.convolution", "reshaped"),
    *(word for key, value in NETWORK.items() for word in (f"--model.backbone.{key}", value)),
    *("--data", "SyntheticParts", "--data.multi_target", "false", "--data.batch_size", "8"),
    *("--trainer.max_epochs", "4", "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"),
    *("--trainer.logger", "lightning.pytorch.loggers.CSVLogger", "--trainer.logger.save_dir", "runs"),
    *("--trainer.logger.name", "small", "--seed_everything", "0"),
]


def start(folder, *words, **variables):
    (folder / "script.py").write_text(SCRIPT)
    given = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", **variables}
    return subprocess.Popen(
        [sys.executable, str(folder / "script.py"), *WORDS, *words],
        cwd=folder,
        env={**os.environ, **given},
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(folder, *words):
    done = start(folder, *words)
    _, said = done.communicate(timeout=PATIENCE)
    assert done.returncode == 0, said


def weights(folder, rank=0):
    return torch.load(folder / f"weights of rank {rank}.pt", weights_only=True)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight")
    finish(folder)
    return folder


def test_two_processes_end_with_equal_weights_that_obey(tmp_path):
    finish(tmp_path, "--trainer.devices", "2", "--trainer.strategy", "ddp")
    first, second = weights(tmp_path), weights(tmp_path, 1)
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0, msg=name)
    (file,) = (tmp_path / "runs" / "small" / "version_0" / "checkpoints").glob("*.ckpt")
    assert Certificate.of(Backbone.load(file)).constant <= 1.001


def test_a_killed_run_goes_on_and_ends_with_the_same_weights(straight, tmp_path):
    run = start(tmp_path, stop="yes")
    try:
        deadline = time.monotonic() + PATIENCE
        while not (tmp_path / "reached").exists():
            assert run.poll() is None, run.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        run.kill()
        run.communicate(timeout=PATIENCE)
    assert run.returncode == -signal.SIGKILL
    (file,) = (tmp_path / "runs" / "small" / "version_0" / "checkpoints").glob("*.ckpt")
    finish(tmp_path, "--ckpt_path", str(file))
    expected, found = weights(straight), weights(tmp_path)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=0, atol=0, msg=name)
