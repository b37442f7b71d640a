"""Classifiers of other trainings: two real processes (gloo) end with equal weights, and a killed fit loses nothing."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings

import pytest
import torch

from lit_coiba.backbones import Backbone
from lit_coiba.cli import main
from lit_coiba.data.synthetic.dataset import SPLITS
from lit_coiba.lipschitz import Certificate
from tests._testers.runs import PATIENCE, ROOT

FEW = {"train": range(64), "val": range(10_000, 10_016), "test": range(11_000, 11_004)}
# `lit-coiba`, several times, on few samples; Lightning starts this file once more for the second process. A command
# whose folder has the file "stands" stands still in the middle of epoch 1, until it is killed.
SCRIPT = f"""
import json, os, sys, time, warnings
from pathlib import Path
warnings.simplefilter("ignore")
import torch
from lit_coiba.cli import main
from lit_coiba.data.synthetic.dataset import SPLITS
from lit_coiba.training import Classifier

SPLITS.update({FEW})
rank, step = os.environ.get("LOCAL_RANK", "0"), Classifier.training_step

def slow(self, batch, batch_idx):
    if Path("stands").exists() and (self.current_epoch, batch_idx) == (1, 1):
        Path("reached").touch()
        time.sleep(1000)
    return step(self, batch, batch_idx)

def kept(self):
    torch.save(self.state_dict(), f"weights of rank {{rank}}.pt")

Classifier.training_step, Classifier.on_fit_end = slow, kept
here = Path(__file__).parent
for name, words in json.loads(sys.argv[1]).items():
    (here / name).mkdir(exist_ok=True)
    os.chdir(here / name)
    if status := main(words):
        sys.exit(status)
    os.chdir(here)
"""
MODELS = {
    "HarmonizedClassifier": {
        "backbone": {
            "name": "resnet10t",
            "num_classes": 20,
            "image_size": 32,
            "timm_kwargs": {"channels": [8, 8, 8, 8], "stem_width": 8},
        },
    },
    "LipschitzClassifier": {
        "backbone": {
            "name": "lipschitz_cnn",
            "num_classes": 20,
            "image_size": 32,
            "timm_kwargs": {"widths": [8, 16], "strides": [2, 2], "kernel_sizes": [3, 3]},
        },
        "loss": "soft_hkr",  # whose temperature has a state of its own
        "convolution": "reshaped",
    },
}
SHORT = ["--data", "SyntheticParts", "--data.size", "32", "--data.batch_size", "8", "--data.multi_target", "false"]
SHORT += ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--trainer.log_every_n_steps", "1"]
TWO = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--trainer.max_epochs", "1"]
NAMES = list(MODELS)


def words(name, *more):
    model = ["-c", json.dumps({"model": {"class_path": name, **MODELS[name], "lr": 0.005}})]
    return ["fit", *model, *SHORT, *more]


def start(folder, commands):
    """The commands in a process of its own."""
    (folder / "script.py").write_text(SCRIPT)
    variables = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(torch.get_num_threads()), "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.Popen(
        [sys.executable, str(folder / "script.py"), json.dumps(commands)],
        cwd=folder,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    run = start(folder, {name: words(name, *TWO) for name in NAMES})
    said, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, said
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_end_with_equal_weights(two, name):
    first, second = (torch.load(two / name / f"weights of rank {rank}.pt", weights_only=True) for rank in (0, 1))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first if "running_" not in key)


def test_weights_of_two_processes_obey_the_constraint(two):
    (file,) = (two / "LipschitzClassifier").rglob("*.ckpt")
    assert Certificate.of(Backbone.load(file)).constant <= 1.001


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_fit_goes_on_and_ends_with_the_weights_of_an_undisturbed_one(name, tmp_path, monkeypatch):
    for split, samples in FEW.items():
        monkeypatch.setitem(SPLITS, split, samples)
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / "stands").touch()
    run = start(tmp_path, {"killed": words(name, "--trainer.max_epochs", "2")})
    try:
        deadline = time.monotonic() + PATIENCE
        while not (tmp_path / "killed" / "reached").exists():
            assert run.poll() is None, run.stdout.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        run.kill()
        run.communicate(timeout=PATIENCE)
        assert run.returncode == -signal.SIGKILL
    (left,) = (tmp_path / "killed").rglob("*.ckpt")

    states = {}
    for kind, more in (("straight", ()), ("killed", ("--ckpt_path", str(left)))):
        (tmp_path / kind).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / kind)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert main(words(name, "--trainer.max_epochs", "2", *more)) == 0
        last = max((tmp_path / kind).rglob("*.ckpt"), key=lambda file: file.stat().st_mtime)
        states[kind] = torch.load(last, weights_only=True)
    straight, killed = (states[kind] for kind in ("straight", "killed"))
    assert (straight["epoch"], straight["global_step"]) == (killed["epoch"], killed["global_step"])
    for key, value in straight["state_dict"].items():
        assert torch.allclose(value, killed["state_dict"][key], rtol=1e-5, atol=1e-6), key
