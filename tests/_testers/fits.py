"""`lit-coiba fit` in processes of their own: two by DDP (gloo), and one that is killed in the middle of an epoch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from lit_coiba.cli import main
from lit_coiba.data.synthetic.dataset import SPLITS
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
from lit_coiba.training.readout import Readout

SPLITS.update({FEW})
rank = os.environ.get("LOCAL_RANK", "0")

def slow(step):
    def stepped(self, batch, batch_idx):
        if Path("stands").exists() and (self.current_epoch, batch_idx) == (1, 1):
            Path("reached").touch()
            time.sleep(1000)
        return step(self, batch, batch_idx)
    return stepped

def kept(self):
    torch.save(self.state_dict(), f"weights of rank {{rank}}.pt")

for kind in (Classifier, Readout):
    kind.training_step, kind.on_fit_end = slow(kind.training_step), kept
here = Path(__file__).parent
for name, words in json.loads(sys.argv[1]).items():
    (here / name).mkdir(exist_ok=True)
    os.chdir(here / name)
    if status := main(words):
        sys.exit(status)
    os.chdir(here)
"""
SHORT = ["--data", "SyntheticParts", "--data.batch_size", "8", "--trainer.accelerator", "cpu"]
SHORT += ["--trainer.enable_progress_bar", "false", "--trainer.log_every_n_steps", "1"]
TWO = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--trainer.max_epochs", "1"]


def start(folder: Path, commands: Mapping[str, Sequence[str]]) -> subprocess.Popen[str]:
    """The commands, each in a folder of its name, one after the other in a process of its own."""
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


def run(folder: Path, commands: Mapping[str, Sequence[str]]) -> Path:
    """The commands, to their ends."""
    process = start(folder, commands)
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    return folder


def killed_fit(folder: Path, words: Sequence[str]) -> Path:
    """The only checkpoint of a command that was killed in the middle of epoch 1; it ran in the folder ``killed``."""
    (folder / "killed").mkdir()
    (folder / "killed" / "stands").touch()
    process = start(folder, {"killed": words})
    try:
        deadline = time.monotonic() + PATIENCE
        while not (folder / "killed" / "reached").exists():
            assert process.poll() is None, process.stdout.read() if process.stdout else ""
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)
        assert process.returncode == -signal.SIGKILL
    (left,) = (folder / "killed").rglob("*.ckpt")
    return left


def killed_and_straight(folder: Path, monkeypatch: pytest.MonkeyPatch, words: Sequence[str]) -> dict[str, Any]:
    """The last checkpoints of a command that was ``killed`` and went on, and of an undisturbed one, ``straight``."""
    for split, samples in FEW.items():
        monkeypatch.setitem(SPLITS, split, samples)
    left, states = killed_fit(folder, words), {}
    for kind, more in (("straight", ()), ("killed", ("--ckpt_path", str(left)))):
        (folder / kind).mkdir(exist_ok=True)
        monkeypatch.chdir(folder / kind)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert main([*words, *more]) == 0
        last = max((folder / kind).rglob("*.ckpt"), key=lambda file: file.stat().st_mtime)
        states[kind] = torch.load(last, weights_only=True)
    return states
