"""Recursion: a concept that stands for two colors is split into them at the layer before."""

import pytest
import torch
from torch import nn

from lit_coiba.backbones import Backbone
from lit_coiba.concepts import CRAFT, NMF, Concepts, concept_tree
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing

RED, GREEN, BLUE = range(3)


def model():
    """Detectors of three colors; above them one channel for red or green, and one for blue."""
    colors, groups, linear = nn.Conv2d(3, 3, 4, 4, bias=False), nn.Conv2d(3, 2, 1, bias=False), nn.Linear(2, 1)
    with torch.no_grad():
        linear.weight.fill_(1.0)
        linear.bias.zero_()
        detectors = 2 * torch.eye(3) - 1
        colors.weight.copy_(detectors[:, :, None, None].expand(3, 3, 4, 4) / 16)
        groups.weight.copy_(torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])[:, :, None, None])
    module = nn.Sequential(colors, nn.ReLU(), groups, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)
    return Backbone.wrap(module, Preprocessing((32, 32), 1.0, "bilinear", (0.0,) * 3, (1.0,) * 3)).eval()


def images(count=120):
    """A square of one color in each, more or less bright."""
    generator = torch.Generator().manual_seed(0)
    found = torch.zeros(count, 3, 32, 32)
    for number in range(count):
        top, left = (torch.rand(2, generator=generator) * 16).int().tolist()
        found[number, number % 3, top : top + 16, left : left + 16] = 0.6 + 0.4 * torch.rand(1, generator=generator)
    return found


@pytest.fixture(scope="module")
def tree():
    stream = images().split(50)  # read once
    return concept_tree(CRAFT(NMF(2), crop_size=16), model(), iter(stream), 0, ["3", "1"], quantile=0.5)


def test_a_concept_of_two_colors_has_them_as_parts(tree):
    mixed = int(tree.concepts.dictionary[:, 0].argmax())
    assert tree.concepts.dictionary[mixed].tolist() == pytest.approx([1, 0], abs=1e-3)
    parts = tree.children[mixed].concepts
    assert parts.about.layer == "1"
    assert parts.about.path == (("3", mixed),)
    found = parts.dictionary[parts.dictionary[:, RED].argsort(descending=True)]
    torch.testing.assert_close(found, torch.eye(3)[[RED, GREEN]], atol=0.02, rtol=0)
    assert parts.about.error < 0.05


def test_the_parts_are_found_in_the_crops_where_the_concept_is_strongest(tree):
    mixed = int(tree.concepts.dictionary[:, 0].argmax())
    parts, values = tree.children[mixed].concepts, tree.concepts.coefficients[:, mixed]
    strong = ((values >= values.quantile(0.5)) & (values > 0)).nonzero().flatten()
    assert torch.equal(parts.images, tree.concepts.images[strong])
    assert torch.equal(parts.places, tree.concepts.places[strong])
    assert set((parts.images % 3).tolist()) == {RED, GREEN}


def test_a_concept_of_one_color_stays_whole(tree):
    blue = int(tree.concepts.dictionary[:, 1].argmax())
    assert blue not in tree.children
    assert "hardly a gain" in tree.whole[blue] or "crops show it" in tree.whole[blue]
    (child,) = tree.children.values()
    assert set(child.whole.values()) == {"it is at the last of the layers"}
    assert [node.about.layer for node in tree.nodes()] == ["3", "1"]


def test_few_crops_are_not_split():
    found = concept_tree(CRAFT(NMF(2), crop_size=16), model(), images(6), 0, ["3", "1"])
    assert found.children == {}
    assert all("are needed" in why for why in found.whole.values())


def test_a_part_can_be_saved_and_asked_like_any_concepts(tree, tmp_path):
    (child,) = tree.children.values()
    child.concepts.save(tmp_path / "part.safetensors")
    again = Concepts.load(tmp_path / "part.safetensors")
    assert again.about == child.concepts.about
    assert again.transform(model(), images(3)).shape == (3, 2, 8, 8)


@pytest.mark.parametrize(
    ("craft", "layers", "arguments", "text"),
    [
        (CRAFT(NMF(2), tokens=True), ["3", "1"], {}, "tokens is True"),
        (CRAFT(NMF(2)), ["1", "3"], {}, r"layers is \['1', '3'\]: give one at least"),
        (CRAFT(NMF(2)), ["3", "3"], {}, "to earlier ones"),
        (CRAFT(NMF(2)), [], {}, r"layers is \[\]"),
        (CRAFT(NMF(2)), ["3", "9"], {}, "9"),
        (CRAFT(NMF(2)), ["3"], {"quantile": 1.0}, "quantile is 1.0"),
        (CRAFT(NMF(2)), ["3"], {"least_gain": -0.1}, "least_gain is -0.1"),
    ],
)
def test_bad_arguments_are_refused(craft, layers, arguments, text):
    with pytest.raises(InputError, match=text):
        concept_tree(craft, model(), images(6), 0, layers, **arguments)
