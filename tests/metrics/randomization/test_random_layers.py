"""Which weights are random at a depth, what they are, and that the model keeps its own."""

import copy

import pytest
import torch
from torch import nn

from lit_coiba.core.errors import InputError
from lit_coiba.metrics.randomization.random_layers import RandomLayers
from tests._testers import tiny


class Own(nn.Module):
    """Parameters of its own without an initializer, and a single number."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.arange(200.0))
        self.temperature = nn.Parameter(torch.tensor(3.0))
        self.first, self.second, self.top = nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)

    def forward(self, values):
        return self.top(self.second(self.first(values))) * self.temperature


def states(layers):
    return [{name: value.clone() for name, value in model.state_dict().items()} for model in layers]


def differing(one, other):
    return {name.rpartition(".")[0] for name in one if not torch.equal(one[name], other[name])}


@pytest.fixture
def model():
    torch.manual_seed(3)
    made = Own()
    with torch.no_grad():
        made.second.weight.uniform_(), made.second.running_mean.fill_(2)
    return made


def test_a_cascade_from_the_top(model):
    layers = RandomLayers(model)
    assert [depth.name for depth in layers.depths] == ["top", "second", "first", ""]
    found = states(layers)
    changed = [differing(state, model.state_dict()) for state in found]
    assert changed == [{"top"}, {"top", "second"}, {"top", "second", "first"}, {"top", "second", "first", ""}]
    assert found[1]["second.weight"].tolist() == [1] * 4  # its own initializer
    assert found[1]["second.running_mean"].tolist() == [0] * 4
    assert torch.equal(found[0]["top.weight"], found[3]["top.weight"])
    assert layers.left == ["temperature"]


def test_independent_layers_are_given_back(model):
    layers = RandomLayers(model, order="independent")
    changed = [differing(state, model.state_dict()) for state in states(layers)]
    assert changed == [{"top"}, {"second"}, {"first"}, {""}]


def test_what_has_no_initializer_keeps_mean_and_spread_alone(model):
    drawn = dict(RandomLayers(model).everything().named_parameters())["embedding"]
    assert drawn.mean().item() == pytest.approx(99.5, abs=15)
    assert drawn.std().item() == pytest.approx(58, abs=12)
    assert torch.corrcoef(torch.stack([drawn.detach(), torch.arange(200.0)]))[0, 1].abs() < 0.25


def test_weights_follow_from_seed_and_name_alone(model):
    whole = states(RandomLayers(model))
    torch.rand(5)
    few = states(RandomLayers(model, ["first", "top"], "independent"))
    assert torch.equal(few[0]["top.weight"], whole[0]["top.weight"])
    assert torch.equal(few[1]["first.weight"], whole[2]["first.weight"])
    assert not torch.equal(states(RandomLayers(model, seed=1))[0]["top.weight"], whole[0]["top.weight"])
    assert not torch.equal(whole[2]["first.weight"][:2], whole[2]["top.weight"])  # one seed for all would repeat


def test_the_model_and_the_random_state_stay(model):
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    steps = iter(RandomLayers(model))
    next(steps)
    with pytest.raises(KeyboardInterrupt):
        steps.throw(KeyboardInterrupt)
    RandomLayers(model).everything()
    assert not differing(model.state_dict(), before)
    assert torch.equal(torch.get_rng_state(), state)


def test_depths_by_number_and_by_name(model):
    assert [depth.name for depth in RandomLayers(model, 2).depths] == ["second", ""]
    assert RandomLayers(model, 2, "independent").depths[1].owners == ("first", "")
    assert len(RandomLayers(model, 99).depths) == 4
    assert RandomLayers(model, ["first"]).depths[0].owners == ("top", "second", "first")
    backbone = tiny.resnet()
    assert [d.name for d in RandomLayers(backbone, ["layer3", "fc"]).depths] == ["fc", "layer3"]
    for layers, message in ((["nowhere"], "no module 'nowhere'"), (0, "layers is 0")):
        with pytest.raises(InputError, match=message):
            RandomLayers(model, layers)
    for given, message in ((lambda x: x, "no weights to randomize"), (nn.ReLU(), "has no parameters")):
        with pytest.raises(InputError, match=message):
            RandomLayers(given)


@pytest.mark.parametrize("build", [tiny.vit, tiny.resnet, tiny.infodisent])
def test_a_backbone_becomes_another_network_that_is_looked_at_anew(build):
    backbone = build()
    digest, layers = backbone.digest(), backbone.default_layers()
    assert backbone.report.behavior.gradients
    random = RandomLayers(backbone)
    other = random.everything()
    assert random.left == []
    same = [n for n, p in backbone.named_parameters() if torch.equal(p, dict(other.named_parameters())[n])]
    assert all(bool((p == p.flatten()[0]).all()) for n, p in backbone.named_parameters() if n in same)
    assert other.digest() != digest == backbone.digest()
    assert other.default_layers() == layers  # maps of the same layers are compared
    assert other._looks is not backbone._looks
    images = torch.randn(2, 3, *backbone.preprocessing.size)
    assert not torch.allclose(other(images), backbone(images))


def test_tokens_and_positions_of_a_vit_are_random_too():
    backbone = tiny.vit()
    other = dict(RandomLayers(backbone).everything().named_parameters())
    for name in ("model.cls_token", "model.pos_embed"):
        assert not torch.equal(other[name], backbone.get_parameter(name))


def test_spectral_norms_do_not_keep_their_weights():
    model = nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(5, 5)))
    other = RandomLayers(model).everything()
    kept = dict(model.named_parameters())
    assert [name for name, value in other.named_parameters() if torch.equal(value, kept[name])] == []
