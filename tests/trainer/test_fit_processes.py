"""Two real processes (gloo) fit one head: equal weights on both; logs, cache and checkpoints are there once."""

import json
import os
import subprocess
import sys

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lit_coiba.store import ExplanationStore
from tests._testers.runs import PATIENCE, ROOT

# `lit-coiba`, several times and each time in a folder of its own, on few samples; Lightning starts this file once more
# for the second process.
SCRIPT = """
import json, os, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
import torch
from lit_coiba.cli import main
from lit_coiba.data.synthetic.dataset import SPLITS
from lit_coiba.training.classifier import Classifier
from lit_coiba.training.feature_cache import CachedFeatures

SPLITS.update(train=range(72), val=range(10_000, 10_020))
rank, compute, step = os.environ.get("LOCAL_RANK", "0"), CachedFeatures._compute, Classifier.training_step

def counted(self, network, examples, file, *rest):
    Path(f"computed {file.stem} on rank {rank}").touch()
    compute(self, network, examples, file, *rest)

def seen(self, batch, batch_idx):
    with open(f"seen on rank {rank}", "a") as out:
        print(*(round(float(v), 5) for v in batch[0].double().flatten(1).sum(1)), file=out)
    return step(self, batch, batch_idx)

def kept(self):
    torch.save(self.state_dict(), f"weights of rank {rank}.pt")

CachedFeatures._compute, Classifier.training_step, Classifier.on_fit_end = counted, seen, kept
here = Path(__file__).parent
for name, words in json.loads(sys.argv[1]).items():
    (here / name).mkdir(exist_ok=True)
    os.chdir(here / name)
    status = main(words)
    Path(f"status {status} on rank {rank}").touch()
    os.chdir(here)
    if status:
        sys.exit(status)
"""
DDP = ["-c", "configs/trainer/ddp.yaml"]
CPU = ["--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.enable_progress_bar", "false"]
SHORT = ["--data.batch_size", "8", "--trainer.max_epochs", "2", "--trainer.log_every_n_steps", "1"]
NAME = "infodisent_synthetic_parts"

FIT = ["fit", *DDP, "-c", f"configs/experiment/{NAME}.yaml", *CPU, *SHORT]
FITS = {  # the experiment's file; without cache a head and its backbone are trained
    "cached": FIT,
    "images": [*FIT, "--cache", "null", "--model.frozen", "false", "--model.head.bias", "true"],
}
EXPLAIN = ["explain", *DDP, *CPU, *("-c", "configs/model/synthetic_parts_vit.yaml", "--model.method", "RandomMap")]
EXPLAIN += ["--data", "SyntheticParts", "--data.batch_size", "2", "--limit", "6", "--store", "x"]


def run(folder, commands):
    """What the commands print and leave in folders of `folder`: one start of both processes for all of them."""
    (folder / "script.py").write_text(SCRIPT)
    variables = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(torch.get_num_threads()), "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.run(
        [sys.executable, str(folder / "script.py"), json.dumps(commands)],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


@pytest.fixture(scope="module")
def all_done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    done = run(folder, {**FITS, "explained": EXPLAIN})
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(params=FITS)
def done(all_done, request):
    return all_done / request.param, request.param


def names(folder, beginning):
    return sorted(file.name for file in folder.glob(f"{beginning}*"))


def test_both_end_with_equal_weights(done):
    folder, _ = done
    assert names(folder, "status") == ["status 0 on rank 0", "status 0 on rank 1"]
    first, second = (torch.load(folder / f"weights of rank {rank}.pt", weights_only=True) for rank in (0, 1))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    head = {name.partition("forward_head.head.")[2]: tensor for name, tensor in first.items()}
    assert (head["weight"] >= 0).all()
    assert (head["weight"] == 0).any()  # clamped on both
    (generator,) = (tensor for name, tensor in head.items() if "generator" in name)
    assert generator.abs().max() > 1e-3  # it learned


def test_each_takes_its_share_of_every_epoch(done):
    folder, _ = done
    shares = []
    for rank in (0, 1):
        batches = [line.split() for line in (folder / f"seen on rank {rank}").read_text().splitlines()]
        assert [len(batch) for batch in batches] == [8] * 8  # 36 samples of an epoch, a last batch of 4 left out
        shares.append([{image for batch in batches[start : start + 4] for image in batch} for start in (0, 4)])
    for epoch in (0, 1):
        assert len(shares[0][epoch] | shares[1][epoch]) == 64
    assert shares[0][0] != shares[0][1]  # shuffled anew


def test_features_are_computed_once(done):
    folder, kind = done
    assert all(name.endswith("rank 0") for name in names(folder, "computed"))
    assert len(names(folder, "computed")) == len(names(folder, "runs/features/*.targets.npy"))
    assert len(names(folder, "computed")) == (2 if kind == "cached" else 0)


def test_logs_and_checkpoints_are_there_once(done):
    folder, _ = done
    (version,) = (folder / "runs" / NAME).glob("version_*")
    assert sorted(file.name for file in (version / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    assert len(list(version.glob("events.*"))) == 1
    board = EventAccumulator(str(version))
    board.Reload()
    assert [point.step for point in board.Scalars("val/accuracy")] == [3, 7]
    assert [point.step for point in board.Scalars("train/loss")] == list(range(8))
    assert (version / "config.yaml").is_file()
    assert names(folder / "runs" / NAME, NAME) == [f"{NAME}.md", f"{NAME}.safetensors"]
    saved = torch.load(version / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    ours = torch.load(folder / "weights of rank 1.pt", weights_only=True)
    assert all(torch.equal(saved[name], ours[name]) for name in saved)


def test_both_explain_as_the_shipped_file_says(all_done):
    folder = all_done / "explained"
    assert names(folder, "status") == ["status 0 on rank 0", "status 0 on rank 1"]
    assert len(ExplanationStore(folder / "x")) == 6


def test_what_goes_wrong_on_the_first_ends_both(tmp_path):
    done = run(tmp_path, {"wrong": [*FIT, "--model.frozen", "false"]})
    assert done.returncode == 2
    assert "lit-coiba: error: cache stores the features of a backbone that does not change" in done.stderr
    assert names(tmp_path / "wrong", "status")[0] == "status 2 on rank 0"
