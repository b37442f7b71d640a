import copy
import pickle

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from lit_coiba.core.errors import InputError
from lit_coiba.heads import Rotation
from tests._testers.heads import CHANNELS, features

KINDS = [("orthogonal", "auto"), ("orthogonal", "cayley"), ("orthogonal", "exponential"), ("invertible", "auto")]
every_kind = pytest.mark.parametrize(("form", "parametrization"), KINDS)


def turned(channels, form="orthogonal", parametrization="auto", size=0.5):
    rotation = Rotation(channels, form, parametrization)
    with torch.no_grad():
        rotation.generator.copy_(size * torch.randn(channels, channels, generator=torch.Generator().manual_seed(0)))
    return rotation


def oracle(rotation):
    """U from the definition, by scipy and numpy."""
    free = rotation.generator.detach().double().numpy()
    if rotation.form == "invertible":
        return expm(free)
    skew, identity = free - free.T, np.eye(len(free))
    if rotation.parametrization == "exponential":
        return expm(skew)
    return np.linalg.inv(identity - skew / 2) @ (identity + skew / 2)


def computed(rotation, monkeypatch):
    """A list that grows with each time that U is computed."""
    calls, compute = [], rotation._matrix_of
    monkeypatch.setattr(rotation, "_matrix_of", lambda free: calls.append(free) or compute(free))
    return calls


@every_kind
def test_it_starts_as_the_identity(form, parametrization):
    values = torch.randn(2, 70, 3, 5)
    for given in (values, values.double(), values.contiguous(memory_format=torch.channels_last)):
        rotation = Rotation(70, form, parametrization)
        assert torch.equal(rotation(given), given)
        assert torch.equal(rotation.matrix(), torch.eye(70))
        assert torch.equal(rotation.inverse(), torch.eye(70))


@every_kind
def test_every_pixel_is_multiplied_with_the_matrix_of_the_definition(form, parametrization):
    rotation, values = turned(CHANNELS, form, parametrization).double(), features(2)
    expected = oracle(rotation)
    np.testing.assert_allclose(rotation.matrix().detach().numpy(), expected, rtol=1e-10, atol=1e-12)
    found = rotation(values).detach().numpy()
    for b, y, x in np.ndindex(2, 3, 5):
        np.testing.assert_allclose(found[b, :, y, x], expected @ values[b, :, y, x].numpy(), rtol=1e-10, atol=1e-12)


@every_kind
def test_the_inverse_undoes_it(form, parametrization):
    rotation = turned(40, form, parametrization, size=0.1)
    found = rotation.matrix() @ rotation.inverse()
    torch.testing.assert_close(found, torch.eye(40), rtol=0, atol=1e-5)


@pytest.mark.parametrize("parametrization", ["cayley", "exponential"])
@pytest.mark.parametrize("size", [0.0, 0.01, 0.3, 10.0])
@pytest.mark.parametrize("channels", [5, 64, 256])
def test_an_orthogonal_matrix_is_orthogonal(parametrization, size, channels):
    rotation = turned(channels, "orthogonal", parametrization, size)
    matrix = rotation.matrix().detach().double()
    error = (matrix.T @ matrix - torch.eye(channels)).abs().max().item()
    assert error < 1e-4
    assert rotation.orthogonality_error() == pytest.approx(error, abs=1e-5)


def test_an_invertible_matrix_need_not_be_orthogonal():
    assert turned(5, "invertible").orthogonality_error() > 0.1


@every_kind
def test_gradient_reaches_the_free_matrix_at_its_start(form, parametrization):
    rotation, values = Rotation(CHANNELS, form, parametrization), features(4, torch.float32)
    rotation(values).amax((-2, -1)).sum().backward()
    off_diagonal = ~torch.eye(CHANNELS, dtype=torch.bool)
    assert (rotation.generator.grad[off_diagonal] != 0).all()


@every_kind
def test_gradients_are_those_of_differences(form, parametrization):
    rotation = turned(4, form, parametrization).double()
    assert torch.autograd.gradcheck(lambda free: rotation._matrix_of(free), rotation.generator)


def test_both_parametrizations_agree_to_second_order():
    def difference(size):
        first, second = (turned(8, "orthogonal", name, size).double() for name in ("cayley", "exponential"))
        return (first.matrix() - second.matrix()).abs().max().item()

    assert difference(1e-2) / difference(5e-3) == pytest.approx(8, rel=0.05)


def test_average_pooling_with_turned_weights_gives_the_same_logits():
    """Check of EPIC: W' = W U^-1 leaves the classifier's function as it is."""
    for form in ("orthogonal", "invertible"):
        rotation, values = turned(CHANNELS, form).double(), features(5)
        weight = torch.randn(3, CHANNELS, dtype=torch.float64)
        found = rotation(values).mean((-2, -1)) @ (weight @ rotation.inverse()).T
        torch.testing.assert_close(found, values.mean((-2, -1)) @ weight.T, rtol=1e-10, atol=1e-12)


@every_kind
def test_half_precision_around_it_does_not_reach_the_matrix(form, parametrization):
    rotation, values = turned(48, form, parametrization, size=0.2), torch.randn(2, 48, 3, 3)
    expected = rotation.matrix()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(rotation.matrix(), expected)
        assert rotation(values).dtype == torch.bfloat16
        assert rotation.inverse().dtype == torch.float32
        if form == "orthogonal":
            assert rotation.orthogonality_error() < 1e-4
    assert rotation.bfloat16().matrix().dtype == torch.float32
    assert rotation.double().matrix().dtype == torch.float64


class TestKeptMatrix:
    """In evaluation mode, without a gradient to the free matrix."""

    def test_it_is_computed_once(self, monkeypatch):
        rotation = turned(CHANNELS).eval()
        calls = computed(rotation, monkeypatch)
        with torch.no_grad():
            first, again = rotation.matrix(), rotation.matrix()
            rotation(features(2)), rotation.inverse(), rotation.orthogonality_error()
        assert again is first
        assert len(calls) == 1
        torch.testing.assert_close(first.double().numpy(), oracle(rotation), rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("change", ["optimizer", "state", "data", "parameter", "double", "in training"])
    def test_it_follows_the_free_matrix(self, change):
        rotation = turned(CHANNELS).eval()
        with torch.no_grad():
            before = rotation.matrix().clone()
        if change == "optimizer":
            optimizer = torch.optim.SGD(rotation.parameters(), lr=1.0)
            rotation(features(2, torch.float32)).amax((-2, -1)).sum().backward()
            optimizer.step()
        elif change == "state":
            rotation.load_state_dict({"generator": 2 * rotation.generator.detach()})
        elif change == "data":
            rotation.generator.data.mul_(2)
        elif change == "parameter":
            rotation.generator = torch.nn.Parameter(2 * rotation.generator.detach())
        elif change == "double":
            rotation.double()
        else:
            rotation.train()
            with torch.no_grad():
                rotation.generator.mul_(2)
            rotation.eval()
        with torch.no_grad():
            found = rotation.matrix()
        assert not torch.equal(found.double(), before.double())
        assert found.dtype == rotation.generator.dtype
        torch.testing.assert_close(found.double().numpy(), oracle(rotation), rtol=1e-5, atol=1e-6)

    def test_training_and_gradients_compute_it_anew(self, monkeypatch):
        rotation = turned(CHANNELS).eval()
        with torch.no_grad():
            rotation.matrix()
        calls = computed(rotation, monkeypatch)
        assert rotation.matrix().requires_grad
        rotation.requires_grad_(False)
        assert not rotation.matrix().requires_grad
        assert len(calls) == 1
        with torch.no_grad():
            rotation.train().matrix()
        assert len(calls) == 2

    def test_what_inference_mode_kept_serves_gradients_of_features(self):
        rotation = turned(CHANNELS).double().eval().requires_grad_(False)
        with torch.inference_mode():
            rotation(features(1))
        assert torch.autograd.gradcheck(rotation, features(1).requires_grad_())

    def test_copies_do_without_it(self):
        rotation = turned(CHANNELS).eval()
        with torch.no_grad():
            expected = rotation.matrix()
            small = len(pickle.dumps(rotation))
            for again in (copy.deepcopy(rotation), pickle.loads(pickle.dumps(rotation))):
                assert torch.equal(again.matrix(), expected)
        assert small == len(pickle.dumps(turned(CHANNELS).eval()))
        assert list(rotation.state_dict()) == ["generator"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "channels is 0: give 1 or more"),
        ((4, "affine"), "form is 'affine': choose orthogonal, invertible"),
        ((4, "orthogonal", "householder"), "parametrization is 'householder': choose auto, exponential, cayley"),
        ((4, "invertible", "cayley"), "take 'exponential' or 'auto'"),
    ],
)
def test_arguments_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Rotation(*arguments)


def test_it_prints_its_arguments():
    assert repr(Rotation(4)) == "Rotation(4, form='orthogonal', parametrization='auto')"
