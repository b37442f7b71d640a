"""Constraints: singular values, exports, and what deel-torchlip and orthogonium make of the same."""

from importlib.util import find_spec

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from lit_coiba.attribution import Saliency
from lit_coiba.core.errors import InputError
from lit_coiba.lipschitz import Certificate, GroupSort2
from lit_coiba.lipschitz.constant import lipschitz_constant
from lit_coiba.lipschitz.constraint import OrthogonalMatrix, UnitRows, constrain, exported
from lit_coiba.lipschitz.orthogonal import UnitSpectralNorm, bjorck
from lit_coiba.lipschitz.orthogonal_convolution import default_scheme
from tests._testers import lipschitz as small

needs_orthogonium = pytest.mark.skipif(find_spec("orthogonium") is None, reason="orthogonium is not installed")
SCHEMES = ["reshaped", pytest.param("aoc", marks=needs_orthogonium)]
IMAGES = torch.randn(3, 3, small.SIZE, small.SIZE, generator=torch.Generator().manual_seed(0))


def stepped(scheme="reshaped", head="disjoint", steps=3):
    """A network after a few steps under its constraint."""
    backbone = small.backbone(head)
    constrain(backbone.model, backbone.preprocessing.size, scheme)
    optimizer = torch.optim.Adam(backbone.parameters(), 0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        backbone(IMAGES).square().sum().neg().backward()
        optimizer.step()
    return backbone.eval()


def jacobian_values(layer, channels, size):
    columns = torch.eye(channels * size**2, dtype=torch.float64).view(-1, channels, size, size)
    with torch.no_grad():
        return torch.linalg.svdvals((layer(columns) - layer(0 * columns[:1])).flatten(1))


@needs_orthogonium
@pytest.mark.parametrize("arguments", [(4, 6, 3, 1), (3, 16, 3, 2), (8, 6, 3, 2), (4, 16, 2, 2), (4, 4, 5, 1)], ids=str)
def test_orthogonal_convolutions_have_singular_values_of_1(arguments):
    """Check 2: in [1 - 1e-3, 1 + 1e-4], but for directions that a layer to fewer numbers has to lose."""
    inputs, outputs, kernel, stride = arguments
    torch.manual_seed(0)
    padding = 0 if kernel == stride else kernel // 2
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding, padding_mode="circular")
    network = nn.Sequential(layer, nn.Flatten(), nn.Linear(outputs * (8 // stride) ** 2, 2))
    constrain(network, (8, 8), "aoc", channels=inputs)
    for _ in range(20):  # power iteration converges over the steps of a training
        network(torch.zeros(1, inputs, 8, 8))
    values = jacobian_values(exported(network)[0].double(), inputs, 8)
    kept = values[: min(inputs * 64, outputs * (8 // stride) ** 2)]
    assert kept.max() <= 1 + 1e-4
    assert kept.min() >= 1 - 1e-3


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("head", ["disjoint", "orthogonal"])
def test_networks_are_1_lipschitz_after_training(scheme, head):
    """Checks 2 and 9: the whole Jacobian, and 10,000 pairs of images."""
    backbone = stepped(scheme, head)
    network = exported(backbone.model).double()
    matrix = torch.autograd.functional.jacobian(lambda x: network(x[None])[0], IMAGES[0].double()).flatten(1)
    if head == "disjoint":
        assert matrix.norm(dim=1).max() <= 1 + 1e-4
    else:
        assert torch.linalg.matrix_norm(matrix, ord=2) <= 1 + 1e-4
    pairs = torch.randn(2, 10_000, 3, small.SIZE, small.SIZE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        change = (network.float()(pairs[0]) - network.float()(pairs[1])).abs().amax(1)
    assert (change <= (pairs[0] - pairs[1]).flatten(1).norm(dim=1) * (1 + 1e-4)).all()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_export_is_a_plain_copy_of_the_same_function(scheme):
    """Check 6: outputs and maps are equal, and the original is as it was."""
    backbone = stepped(scheme)
    state = {name: value.clone() for name, value in backbone.state_dict().items()}
    plain = exported(backbone)
    assert {type(module) for module in plain.modules() if list(module.parameters(recurse=False))} == {
        nn.Conv2d,
        nn.Linear,
    }
    assert list(plain.state_dict()) == list(small.backbone().state_dict())
    torch.testing.assert_close(plain(IMAGES), backbone(IMAGES), rtol=0, atol=1e-3)
    torch.testing.assert_close(Saliency().attribute(plain, IMAGES), Saliency().attribute(backbone, IMAGES))
    assert all(torch.equal(state[name], value) for name, value in backbone.state_dict().items())
    with torch.no_grad():
        plain.model.fc.weight.zero_()
    assert backbone(IMAGES).abs().sum() > 0


def test_an_evaluation_changes_nothing():
    """A function of its state: neither forwards in evaluation mode nor their number matter."""
    backbone = stepped()
    first = backbone(IMAGES)
    assert torch.equal(backbone(IMAGES), first)
    backbone.train()(IMAGES)
    assert parametrize.is_parametrized(backbone.model.fc)


def test_autocast_does_not_round_the_constraint():
    backbone = stepped()
    with torch.autocast("cpu", torch.bfloat16):
        weight = backbone.model.fc.weight
    assert weight.dtype == torch.float32
    torch.testing.assert_close(weight, backbone.model.fc.weight, rtol=0, atol=0)


def test_the_classifier_makes_up_for_the_average_below_it():
    """The average over 4 x 4 cells has the constant 1 / 4; rows have the norm 4."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    constrain(network, (16, 16), "reshaped")
    torch.testing.assert_close(network[3].weight.norm(dim=1), torch.full((5,), 4.0))
    constrain(other := nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(48, 5)), (16, 16), head="orthogonal")
    for _ in range(5):
        other(torch.zeros(1, 3, 16, 16))
    torch.testing.assert_close(torch.linalg.svdvals(other[2].weight), torch.full((5,), 4.0), rtol=1e-3, atol=0)
    assert lipschitz_constant(other, (16, 16)) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("shape", [(4, 7), (7, 4), (2, 5, 3)])
def test_bjorck_finds_the_nearest_orthogonal_matrix(shape):
    """The polar factor, U V^T of the singular value decomposition."""
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u, _, v = torch.linalg.svd(weight, full_matrices=False)
    norm = UnitSpectralNorm(shape, 300).double()
    torch.testing.assert_close(bjorck(norm(weight), 0.0, 60), u @ v, rtol=0, atol=1e-6)


def test_dense_layers_equal_those_of_deel_torchlip():
    torchlip = pytest.importorskip("deel.torchlip", reason="deel-torchlip is not installed")
    from deel.torchlip.normalizers import bjorck_normalization

    weight = torch.randn(6, 9, generator=torch.Generator().manual_seed(0))
    weight = weight / torch.linalg.matrix_norm(weight, ord=2)
    torch.testing.assert_close(bjorck(weight), bjorck_normalization(weight))
    ours, theirs = weight.clone().requires_grad_(), weight.clone().requires_grad_()
    for given, function in ((ours, bjorck), (theirs, bjorck_normalization)):
        (function(given) * torch.arange(9.0)).square().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    frobenius = torchlip.FrobeniusLinear(9, 6, disjoint_neurons=True)
    torch.testing.assert_close(UnitRows()(frobenius.parametrizations.weight.original), frobenius.weight)
    spectral = torchlip.SpectralLinear(9, 6)
    for _ in range(20):
        expected = spectral.train()(torch.eye(9))
    own = OrthogonalMatrix(weight)
    raw = spectral.parametrizations.weight.original
    for _ in range(20):
        found = own(raw)
    torch.testing.assert_close(torch.eye(9) @ found.T, expected - spectral.bias, rtol=0, atol=2e-3)


def test_the_fallback_is_chosen_where_the_package_is_missing(monkeypatch):
    import lit_coiba.lipschitz.orthogonal_convolution as module

    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert default_scheme() == "reshaped"
    monkeypatch.setitem(__import__("sys").modules, "orthogonium.layers.conv.AOC", None)
    backbone = small.backbone()
    with pytest.raises(InputError, match=r"need the package orthogonium: pip install 'lit-coiba\[lipschitz\]'"):
        constrain(backbone.model, (16, 16), "aoc")


def test_what_cannot_be_constrained_is_refused():
    backbone = stepped()
    with pytest.raises(InputError, match="LipschitzCNN is constrained already"):
        constrain(backbone.model, (16, 16), "reshaped")
    with pytest.raises(InputError, match="ends in 1, not in a linear layer"):
        constrain(nn.Sequential(nn.Conv2d(3, 4, 3), GroupSort2(4)), (16, 16), "reshaped")
    with pytest.raises(InputError, match="convolution is 'soc': choose aoc, reshaped"):
        constrain(small.backbone().model, (16, 16), "soc")


@needs_orthogonium
def test_convolutions_that_cannot_be_orthogonal_are_refused():
    network = nn.Sequential(nn.Conv2d(3, 4, (1, 3)), nn.Flatten(), nn.Linear(4 * 16 * 14, 2))
    with pytest.raises(InputError, match=r"no orthogonal convolution of Conv2d\(3, 4.*differ along the axes"):
        constrain(network, (16, 16), "aoc")


def test_a_constrained_network_has_a_certificate_before_it_is_exported():
    backbone = stepped()
    assert Certificate.of(backbone).constant == pytest.approx(Certificate.of(exported(backbone)).constant, rel=1e-6)
