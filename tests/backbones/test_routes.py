import itertools

import pytest
import torch
from torch import nn

from lit_coiba.backbones import Backbone
from lit_coiba.backbones.routes import edge_of, routes


class Mesh(nn.Module):
    """Layers a to f: a, then b and c side by side, then d of both, e of d, and f beside e from d; g is not used."""

    def __init__(self):
        super().__init__()
        for name in "abcdefg":
            setattr(self, name, nn.Linear(4, 4))

    def forward(self, x):
        a = self.a(x)
        d = self.d(torch.relu_(self.b(a)) + self.c(a))
        self.kept = self.g(d)
        return self.e(d) * torch.sigmoid(self.f(d))


def looked_at(model, x):
    edges = {}
    for name, module in model.named_children():
        module.register_forward_hook(lambda m, args, out, name=name: edges.__setitem__(name, edge_of(out)))
    return routes(model(x), x, edges)


def test_cuts_are_the_layers_whose_replacement_leaves_nothing_of_the_input():
    torch.manual_seed(0)
    model, x = Mesh(), torch.randn(2, 4, requires_grad=True)
    found = looked_at(model, x)
    expected = set()
    for name, module in model.named_children():
        handle = module.register_forward_hook(lambda m, args, out: out[:1].expand_as(out).clone())
        first, second = model(x)
        handle.remove()
        if torch.equal(first, second):
            expected.add(name)
    assert found.cuts == expected == {"a", "d"}
    assert found.on_path == set("abcdef")
    assert found.reaches


@pytest.mark.parametrize("piece", [0, 1])
def test_one_of_two_pieces_of_a_tensor_is_no_cut(piece):
    class Halves(nn.Module):
        def __init__(self):
            super().__init__()
            self.part = Half(piece)

        def forward(self, x):
            first, second = x.tanh().chunk(2, 1)
            return self.part([first, second]) + [first, second][1 - piece]

    assert not looked_at(Halves(), torch.randn(2, 4, requires_grad=True)).cuts


class Half(nn.Module):
    def __init__(self, piece):
        super().__init__()
        self.piece = piece

    def forward(self, pieces):
        return pieces[self.piece]


def test_without_gradients_nothing_is_known():
    found = routes(torch.ones(2, 3), torch.ones(2, 3, requires_grad=True), {})
    assert not found.reaches
    assert not found.cuts
    weight = torch.ones(3, requires_grad=True)
    assert not routes(torch.ones(2, 3) * weight, torch.ones(2, 3, requires_grad=True), {}).reaches


def test_deep_graphs_do_not_exhaust_anything():
    x = torch.randn(2, 4, requires_grad=True)
    stream = x.clone()
    for _ in itertools.repeat(None, 3000):
        stream = stream + stream.tanh() * 1e-3
    assert routes(stream, x, {"x": edge_of(stream)}).cuts == {"x"}


@pytest.mark.filterwarnings("ignore:.*goes round")
def test_a_layer_that_hands_on_its_input_is_no_cut_where_that_is_read_elsewhere():
    """timm's Xception: an identity in one of two branches is the tensor that both read."""

    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(3, 4, 1)
            self.same = nn.Identity()
            self.act = nn.ReLU(inplace=True)

        def forward(self, x):
            x = self.stem(x)
            return (self.same(x).tanh() + self.act(x)).mean((2, 3))

    backbone = Backbone.wrap(Branches().eval(), image_size=8)
    assert backbone.report.cuts == ("stem",)
