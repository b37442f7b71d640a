"""Readouts from the command line: a fit of each experiment leaves a file, and the method of the same name reads it."""

from pathlib import Path

import pytest
import torch

from lit_coiba.backbones import Backbone
from lit_coiba.bottlenecks.readout.trained_readout import TrainedReadout
from lit_coiba.callbacks.export_weights import save_weights
from lit_coiba.data.synthetic.dataset import SPLITS
from lit_coiba.store import ExplanationStore

from .conftest import CALM, TINY

SHORT = ["--trainer.max_steps", "2", "--trainer.enable_model_summary", "false", "--trainer.log_every_n_steps", "1"]
NAMES = ("readout_coiba", "readout_iba", "learned_ranking")
LESS = {"learned_ranking": ["--model.sides", "[3, 4]", "--model.points", "3"]}

pytestmark = pytest.mark.filterwarnings("ignore:activation statistics of", "ignore:.*survive pure noise")


def fit(command, photos, name, *more):
    own = [*TINY, *CALM, *SHORT, "--data.root", str(photos), "--data.batch_size", "4"]
    return command("fit", "-c", f"configs/experiment/{name}.yaml", *own, *LESS.get(name, []), *more)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_fit_leaves_is_for_its_model(name, command, photos):
    done = fit(command, photos, name)
    assert done.status == 0, done.err
    assert "val/loss" in done.err  # the photographs are not divided, so nothing is held out
    file = f"runs/{name}/{name}.safetensors"
    assert TrainedReadout.load(file).about.steps in (1, 2)  # some have one epoch
    assert "A readout: it belongs to one model" in Path(file).with_suffix(".md").read_text()
    words = [*TINY, *CALM, "--data.root", str(photos), "--store", "x", "--seed_everything", "1"]
    other = command("explain", "-c", f"configs/method/{name}.yaml", "--model.method.readout", file, *words)
    assert other.status == 2
    assert "was trained for another model or other weights" in other.error


@pytest.mark.parametrize("name", NAMES)
def test_a_model_with_weights_of_its_own_is_explained(name, command, photos, weights):
    assert fit(command, photos, name, *weights).status == 0
    method = ["-c", f"configs/method/{name}.yaml", "--model.method.readout", f"runs/{name}/{name}.safetensors"]
    words = [*TINY, *CALM, *weights, "--data.root", str(photos), "--store", "x", "--pictures", "false"]
    done = command("explain", *method, *words)
    assert done.status == 0, done.err
    store = ExplanationStore("x")
    assert len(store) == 6
    digest = TrainedReadout.load(f"runs/{name}/{name}.safetensors").digest()
    assert store.manifest.identity["method"]["readout"] == digest
    assert store.manifest.identity["statistics"] is None
    lacking = command("explain", "-c", f"configs/method/{name}.yaml", *words)
    assert lacking.status == 2
    assert "readout" in lacking.error


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    sizes = {"depth": 2, "embed_dim": 12, "num_heads": 2, "patch_size": 8}
    backbone = Backbone("vit_tiny_patch16_224", num_classes=3, image_size=32, timm_kwargs=sizes)
    save_weights(backbone.model, tmp_path / "weights.safetensors", precision="single")
    return ["--model.backbone.checkpoint", "weights.safetensors"]


@pytest.mark.parametrize("model", ["cnn", "vit"])
def test_the_experiments_of_the_shipped_readouts(model, command, monkeypatch):
    for split, first in (("train", 0), ("val", 10_000), ("test", 11_000)):
        monkeypatch.setitem(SPLITS, split, range(first, first + 8))
    name = f"readout_coiba_synthetic_parts_{model}"
    words = [*CALM, *SHORT, "--data.batch_size", "4", "--model.gap_images", "1", "--trainer.limit_val_batches", "1"]
    done = command("fit", "-c", f"configs/experiment/{name}.yaml", *words)
    assert done.status == 0, done.err
    assert TrainedReadout.load(f"runs/{name}/{name}.safetensors").about.width == 96


def test_help_and_mistakes_name_the_trainings(command):
    page = command("fit", "--model", "CoIBAReadout", "--help").out
    assert "--model.gap_images" in page
    others = command("fit", "--help").out.partition("other trainings, --model CLASS")[2]
    assert all(name in others for name in ("CoIBAReadout", "IBAReadout", "RankingReadout", "HarmonizedClassifier"))
    assert "CoIBAReadout" not in command("validate", "--help").out
    assert "--model CoIBAReadout is no Classifier" in command("validate", "--model", "CoIBAReadout").error
    assert "does not exist: did you mean CoIBAReadout" in command("fit", "--model", "CoibaReadout").error


def test_a_fit_that_is_continued_needs_the_same_command(command, photos, weights):
    name = "readout_coiba"
    assert fit(command, photos, name, *weights).status == 0
    checkpoint = f"runs/{name}/version_0/checkpoints/last.ckpt"
    more = ["--trainer.max_steps", "4", "--ckpt_path", checkpoint]
    done = fit(command, photos, name, *weights, *more)
    assert done.status == 0, done.err
    assert TrainedReadout.load(f"runs/{name}/{name}.safetensors").about.steps > 2
    other = fit(command, photos, "learned_ranking", *weights, *more)
    assert other.status == 2
    assert "the checkpoint is not of a RankingReadout" in other.error
    changed = fit(command, photos, name, *more, "--seed_everything", "1")
    assert "the checkpoint is of a readout of another model" in changed.error
