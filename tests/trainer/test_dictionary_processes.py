"""Two real processes (gloo) train one autoencoder: equal weights on both, one file, measures over all images."""

import os
import subprocess
import sys

import pytest
import torch

from lit_coiba.concepts import ConceptDictionary
from tests._testers.runs import PATIENCE, ROOT

# Lightning starts this file once more for the second process.
SCRIPT = """
import os, sys, warnings
warnings.simplefilter("ignore")
import torch
from lit_coiba.cli import main
from lit_coiba.data.synthetic.dataset import SPLITS
from lit_coiba.training.concept_autoencoder import ConceptAutoencoder

SPLITS.update(train=range(64), val=range(10_000, 10_016))
rank = os.environ.get("LOCAL_RANK", "0")

def kept(self):
    torch.save(self.state_dict(), f"weights of rank {rank}.pt")

ConceptAutoencoder.on_train_end = kept
sys.exit(main(sys.argv[1:]))
"""
WORDS = [
    *("dictionary", "-c", "configs/trainer/ddp.yaml", "-c", "configs/model/synthetic_parts_cnn.yaml"),
    *("--data", "SyntheticParts", "--data.batch_size", "8", "--model.layer", "layer2", "--model.n_concepts", "64"),
    *("--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.enable_progress_bar", "false"),
    *("--model.k", "4", "--trainer.max_epochs", "2", "--trainer.log_every_n_steps", "1", "--output", "c.safetensors"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    (folder / "script.py").write_text(SCRIPT)
    variables = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(
        [sys.executable, "script.py", *WORDS],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_both_processes_end_with_the_same_autoencoder(folder):
    first, second = (torch.load(folder / f"weights of rank {rank}.pt", weights_only=True) for rank in (0, 1))
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_the_file_is_there_once_and_was_measured_on_all_images(folder):
    (file,) = folder.glob("*.safetensors")
    concepts = ConceptDictionary.load(file)
    assert len(concepts) == 64
    assert concepts.about.rows == 16 * 8 * 8
    assert 0 < concepts.about.error < 1
    assert concepts.about.l0 <= 4
