"""The weights that come with the package: what their cards say is true."""

import hashlib
import re

import pytest
import torch
import yaml

from lit_coiba.backbones import Backbone
from lit_coiba.data.synthetic import DroppedPartsDataset, SyntheticPartsDataset
from lit_coiba.resources import resource

SHIPPED = ("synthetic_parts_vit", "synthetic_parts_cnn")
IMAGES = list(range(200))
SLACK = 0.04  # of a share measured on 200 images instead of 1,000: more than two standard deviations


@pytest.fixture(scope="module")
def test_split():
    return SyntheticPartsDataset("test")


def card(name):
    lines = resource(f"checkpoints/{name}.md").read_text().splitlines()
    rows = (re.fullmatch(r"\| (.+?) \| (.+) \|", line) for line in lines)
    return {row[1]: row[2].strip("`") for row in rows if row}


def backbone(name):
    config = yaml.safe_load(resource(f"configs/experiment/{name}.yaml").read_text())
    checkpoint = str(resource(f"checkpoints/{name}.safetensors"))
    return Backbone(**config["model"]["backbone"], checkpoint=checkpoint).eval()


@pytest.mark.parametrize("name", SHIPPED)
def test_the_accuracies_of_the_card_are_reached(name, test_split):
    model, claims = backbone(name), card(name)
    whole = test_split.batch(IMAGES), torch.nn.functional.one_hot(torch.tensor(test_split.labels)[IMAGES], 20).bool()
    dropped = DroppedPartsDataset(test_split).batch(IMAGES)
    required = {"whole": 0.99, "parts_dropped": 0.95}
    for kind, (pixels, fits) in {"whole": whole, "parts_dropped": dropped}.items():
        with torch.no_grad():
            answers = torch.cat([model(model.normalize(part / 255)).argmax(1) for part in pixels.split(50)])
        right = sum(bool(fits[row, answer]) for row, answer in enumerate(answers.tolist()))
        claimed = float(claims[f"accuracy, {kind}"].partition("%")[0])
        assert claimed >= 100 * required[kind]
        assert right / len(IMAGES) >= claimed / 100 - SLACK


@pytest.mark.parametrize("name", SHIPPED)
def test_the_card_is_that_of_the_file(name):
    content, claims = resource(f"checkpoints/{name}.safetensors").read_bytes(), card(name)
    assert claims["SHA-256"] == hashlib.sha256(content).hexdigest()
    assert f"{len(content):,} bytes" in claims["file"]
    assert claims["made by"] == f"lit-coiba fit -c configs/experiment/{name}.yaml"
    config = yaml.safe_load(resource(f"configs/experiment/{name}.yaml").read_text())
    assert claims["trained"].startswith(f"{config['trainer']['max_epochs']} epochs")
    assert yaml.safe_load(claims["network"]) == config["model"]["backbone"]
    assert claims["parameters"] == f"{sum(p.numel() for p in backbone(name).parameters()):,}"


def test_together_they_are_small():
    assert sum(resource(f"checkpoints/{name}.safetensors").stat().st_size for name in SHIPPED) <= 8e6


def test_the_transformer_has_plain_patches_and_a_class_token():
    model = backbone("synthetic_parts_vit")
    assert [type(m).__name__ for m in model.model.patch_embed.children()] == ["Conv2d", "Identity"]
    assert model.model.patch_embed.proj.kernel_size == model.model.patch_embed.proj.stride == (8, 8)
    grid = model.grid("blocks.0.norm1")
    assert (grid.height, grid.width, grid.prefix) == (8, 8, 1)
    assert model.model.global_pool == "token"


def test_the_first_stage_of_the_network_of_convolutions_has_sixteen_cells_a_side():
    grid = backbone("synthetic_parts_cnn").grid("layer1")
    assert (grid.height, grid.width) == (16, 16)
