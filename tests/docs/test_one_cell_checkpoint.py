"""The network for SyntheticParts that was trained with one cell missing: its card is true, and IDSDS may score it."""

import hashlib

import pytest
import torch
import yaml

from lit_coiba.backbones import Backbone
from lit_coiba.backbones.missing_parts import MissingParts, missing_parts
from lit_coiba.data.synthetic import SyntheticPartsDataset
from lit_coiba.metrics import IDSDS
from lit_coiba.resources import resource
from lit_coiba.training.removing import RemoveCell, missing_accuracy
from tests.docs.test_checkpoints import card

NAME = "synthetic_parts_cnn_one_cell"
IMAGES = list(range(200))


@pytest.fixture(scope="module")
def model():
    return Backbone.load(resource(f"checkpoints/{NAME}.safetensors")).eval()


def test_the_gate_holds_on_images_measured_anew(model):
    told = missing_parts(model)
    assert isinstance(told, MissingParts)
    assert told[:3] == ("cell", 4, "zero")
    test = SyntheticPartsDataset("test")
    pixels, labels = test.batch(IMAGES), torch.tensor(test.labels)[IMAGES]
    batches = [(model.normalize(part / 255), truth) for part, truth in zip(pixels.split(50), labels.split(50))]
    found = missing_accuracy(model, batches, RemoveCell())
    assert found.clean >= told.clean - 0.02
    assert found.in_distribution
    assert told.in_distribution
    IDSDS().check_model(model)


def test_the_card_is_that_of_the_file(model):
    content, claims = resource(f"checkpoints/{NAME}.safetensors").read_bytes(), card(NAME)
    assert claims["SHA-256"] == hashlib.sha256(content).hexdigest()
    assert f"{len(content):,} bytes" in claims["file"]
    assert len(content) <= 4e6
    assert claims["made by"] == "lit-coiba fit -c configs/experiment/idsds_synthetic_parts.yaml"
    told = missing_parts(model)
    assert claims["accuracy, whole"].startswith(f"{told.clean:.1%}")
    assert claims["accuracy, whole, one cell missing"] == f"{told.missing:.1%}"
    experiment = yaml.safe_load(resource("configs/experiment/idsds_synthetic_parts.yaml").read_text())
    assert claims["trained"].startswith(f"{experiment['trainer']['max_epochs']} epochs")
    network = {k: v for k, v in experiment["model"]["backbone"].items() if k != "checkpoint"}
    assert yaml.safe_load(claims["network"]) == network
    recipe = experiment["model"]
    assert (recipe["remove_cell"], recipe["removed_grid"], recipe["removed_baseline"]) == (0.5, *told[1:3])


def test_the_configuration_is_of_this_file(model):
    config = yaml.safe_load(resource(f"configs/model/{NAME}.yaml").read_text())["model"]["backbone"]
    checkpoint = config.pop("checkpoint")
    made = Backbone(**config, checkpoint=str(resource(checkpoint)))
    assert made.digest() == model.digest()
    assert made.digest() != Backbone.load(resource("checkpoints/synthetic_parts_cnn.safetensors")).digest()
    assert missing_parts(made) == missing_parts(model)
