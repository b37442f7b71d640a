import pytest
import torch
from torch import nn

from lit_coiba.backbones.chains import Link, chain
from tests.backbones.families import FAMILIES, family, images_for

WHOLE = {"eva", "pvt", "wrapped"}


def composed(links: list[Link], stream):
    for link in links:
        stream = link.forward(stream)
    return stream


@pytest.mark.parametrize("name", FAMILIES)
def test_the_composition_of_the_links_equals_the_model(name):
    backbone = family(name)
    links, images = chain(backbone.model), images_for(backbone)
    assert torch.equal(composed(links, images), backbone(images))
    assert (len(links) == 1) == (name in WHOLE)


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("vit", ["blocks.0", "blocks.1", "blocks.2"]),
        ("swin", ["layers.0.blocks.0", "layers.2.blocks.0", "layers.2.blocks.1"]),
        ("convnext", ["stages.0.blocks.0", "stages.2.blocks.1"]),
        ("resnet18", ["layer1.0", "layer2.1", "layer4.1"]),
        ("efficientnet", ["blocks.0.0", "blocks.1.0"]),
        ("mobilenet", ["blocks.0.0", "blocks.4.1"]),
        ("wrapped_sequential", ["0", "5"]),
    ],
)
def test_every_block_is_a_link(name, blocks):
    outputs = {module for link in chain(family(name).model) for module in link.outputs}
    assert outputs.issuperset(blocks)


def test_the_last_block_of_a_stage_gives_the_output_of_the_stage():
    outputs = [link.outputs for link in chain(family("swin").model)]
    assert ("layers.2.blocks.1", "layers.2.blocks", "layers.2") in outputs
    assert ("layers.3.blocks.0", "layers.3.blocks", "layers.3", "layers") in outputs


def test_a_sequence_that_someone_has_hooked_is_run_as_one():
    model = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), nn.Linear(2, 2))
    assert len(chain(model)) == 3
    model[0].register_forward_hook(lambda module, args, output: output + 1)
    images = torch.ones(1, 2)
    assert len(chain(model)) == 2
    assert torch.equal(composed(chain(model), images), model(images))
    model.register_forward_pre_hook(lambda module, args: (args[0] * 2,))
    assert len(chain(model)) == 1


def test_a_subclass_may_have_another_forward_and_runs_whole():
    class Mine(nn.Sequential):
        def forward(self, images):
            return super().forward(images) + 1

    assert len(chain(Mine(nn.Linear(2, 2), nn.Linear(2, 2)))) == 1


def test_a_module_used_twice_in_a_sequence_is_two_links():
    shared = nn.Linear(2, 2)
    links = chain(nn.Sequential(shared, nn.Tanh(), shared))
    assert [link.outputs[0] for link in links] == ["0", "1", "2"]
