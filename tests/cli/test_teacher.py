"""Distillation from the command line: the shipped network teaches, and the student's checkpoint does without it."""

from pathlib import Path

import pytest
import torch

from lit_coiba.data.synthetic.dataset import SPLITS
from lit_coiba.store import ExplanationStore
from lit_coiba.training.classifier import Classifier

from .conftest import CALM

pytestmark = pytest.mark.filterwarnings("ignore:.*Checkpoint directory", "ignore:.*in eval mode at the start")

STUDENT = [*("-c", "configs/model/synthetic_parts_cnn.yaml"), *("--model.backbone.unstrided_stages", "2")]
DATA = [*("--data", "SyntheticParts", "--data.batch_size", "8"), *CALM]
FIT = [*DATA, *("--trainer.enable_model_summary", "false", "--trainer.log_every_n_steps", "1")]
TEACHER = """
model:
  teacher:
    backbone:
      name: resnet18
      num_classes: 20
      image_size: 64
      mean: [0.5, 0.5, 0.5]
      std: [0.5, 0.5, 0.5]
      timm_kwargs: {channels: [32, 48, 96, 160], avg_down: true}
    weights: checkpoints/synthetic_parts_cnn.safetensors
    temperature: 3.0
"""


@pytest.fixture
def teacher(tmp_path, monkeypatch):
    """A file of it; and SyntheticParts of some samples."""
    for split, first in (("train", 0), ("val", 10_000), ("test", 11_000)):
        monkeypatch.setitem(SPLITS, split, range(first, first + 16))
    (tmp_path / "teacher.yaml").write_text(TEACHER)
    return ["-c", "teacher.yaml"]


def test_from_the_fit_to_the_students_maps(command, teacher):
    words = [*STUDENT, "--model.head", "BRNPAHead", *teacher, *FIT]
    assert command("fit", *words, "--trainer.max_epochs", "1").status == 0
    (saved,) = Path("lightning_logs/version_0/checkpoints").glob("*.ckpt")
    told = torch.load(saved, weights_only=True)["hyper_parameters"]
    assert told["teacher"]["temperature"] == 3.0
    assert told["backbone"]["unstrided_stages"] == 2
    model = Classifier.load_from_checkpoint(saved, weights_only=True).eval()
    assert model.backbone.features(torch.zeros(1, 3, 64, 64)).shape == (1, 160, 8, 8)
    assert command("fit", "--ckpt_path", str(saved), *FIT, "--trainer.max_epochs", "2").status == 0
    again = torch.load(next(Path("lightning_logs/version_1/checkpoints").glob("*.ckpt")), weights_only=True)
    assert again["hyper_parameters"]["teacher"] == told["teacher"]
    Path("teacher.yaml").unlink()
    assert command("test", "--ckpt_path", str(saved), *DATA).status == 0
    maps = [*("-c", "configs/method/head_attribution.yaml"), *STUDENT, "--model.backbone.checkpoint", "null"]
    maps += ["--model.weights", str(saved), *DATA, "--store", "maps"]
    assert command("explain", *maps).status == 0
    assert next(iter(ExplanationStore("maps"))).map.shape == (8, 8)
    low = command("explain", *maps, "--model.backbone.unstrided_stages", "0", "--store", "low")
    assert low.status == 2
    assert "was trained with unstrided_stages 2, but the backbone has 0" in low.error


def test_what_is_wrong_with_a_teacher_is_one_sentence(command, teacher):
    words = [*STUDENT, "--model.head", "BRNPAHead", *teacher, *FIT, "--trainer.max_epochs", "1"]
    outcome = command("fit", *words, "--model.teacher.weights", "nowhere.safetensors")
    assert outcome.status == 2
    assert "nowhere.safetensors does not exist" in outcome.error
    outcome = command("fit", *words, "--model.teacher.temprature", "2")
    assert outcome.error == "unknown key model.teacher.temprature: did you mean model.teacher.temperature?"
    outcome = command("fit", *words, "--model.teacher.alpha", "2")
    assert "alpha 2.0" in outcome.error
