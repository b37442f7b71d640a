"""The 1-Lipschitz network that comes with the package: its card, its certificates, and attacks inside them."""

import hashlib

import pytest
import torch
import yaml

from lit_coiba.backbones import Backbone
from lit_coiba.data.synthetic import SyntheticPartsDataset
from lit_coiba.lipschitz import Certificate
from lit_coiba.resources import resource
from tests._testers.lipschitz import attacked
from tests.docs.test_checkpoints import card

NAME = "lipschitz_synthetic_parts"
FILE = f"checkpoints/{NAME}.safetensors"
COUNT = 200


@pytest.fixture(scope="module")
def network():
    return Backbone.load(resource(FILE)).eval()


@pytest.fixture(scope="module")
def answered(network):
    """Images, logits and whether they are right."""
    drawn = SyntheticPartsDataset("test")
    images = network.normalize(drawn.batch(list(range(COUNT))) / 255)
    with torch.no_grad():
        logits = torch.cat([network(part) for part in images.split(50)])
    return images, logits, logits.argmax(1) == torch.tensor(drawn.labels)[:COUNT]


def test_the_card_is_that_of_the_file(network):
    content, claims = resource(FILE).read_bytes(), card(NAME)
    assert claims["SHA-256"] == hashlib.sha256(content).hexdigest()
    assert f"{len(content):,} bytes" in claims["file"]
    assert len(content) <= 4e6
    config = yaml.safe_load(resource(f"configs/experiment/{NAME}.yaml").read_text())
    assert claims["trained"].startswith(f"{config['trainer']['max_epochs']} epochs")
    assert yaml.safe_load(claims["network"]) == config["model"]["init_args"]["backbone"]
    assert claims["parameters"] == f"{sum(p.numel() for p in network.parameters()):,}"


def test_the_model_file_is_the_same_network(network):
    told = yaml.safe_load(resource(f"configs/model/{NAME}.yaml").read_text())["model"]["backbone"]
    made = Backbone(**{**told, "checkpoint": str(resource(told["checkpoint"]))})
    assert made.digest() == network.digest()


def test_it_is_right_and_certified(network, answered):
    _, logits, right = answered
    certificate = Certificate.of(network)
    assert 0.99 < certificate.pixel_constant <= 1.001
    assert right.double().mean() >= 0.85
    assert float(card(NAME)["accuracy, test"].partition("%")[0]) >= 85
    assert (right & (certificate.radius(logits) > 36 / 255)).double().mean() > 0.9


def test_no_attack_changes_a_decision_inside_its_radius(network, answered):
    images, logits, _ = answered
    images, logits = images[:20], logits[:20]
    radii = Certificate.of(network).radius(logits)
    predicted, second = logits.topk(2, 1).indices.T
    rows = torch.arange(20)

    def margin(x):
        f = network(x)
        return f[rows, predicted] - f[rows, second]

    assert (attacked(margin, images, radii, 30) > -1e-4).all()
    assert (attacked(margin, images, 6 * radii, 30) < 0).any()
