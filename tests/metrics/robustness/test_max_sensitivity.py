"""Check I2 of metrics.md, and equality with Captum for the same perturbations."""

import pytest
import torch
from captum.metrics import sensitivity_max

from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.functional import keyed_noise, uniform
from lit_coiba.metrics import MaxSensitivity
from lit_coiba.metrics.explaining import Explained
from tests._testers.explaining import ExplainingTester, LinearModel, gradient, input_times_gradient
from tests._testers.metrics import uniform as drawn


def slow(model, images, targets, maps, method, ids):
    """One image: the largest relative distance of ten."""
    explained = Explained(model, images, targets, method)
    clean, found = explained.clean[0], 0.0
    for draw in range(10):
        step = uniform(keyed_noise(0, ids, f"max-sensitivity {draw}", images.shape[1:]).double()) * 0.04 - 0.02
        moved = explained.maps(images + step.to(images))[0]
        found = max(found, float(((moved - clean) ** 2).sum().sqrt() / (clean**2).sum().sqrt()))
    return found


class TestMaxSensitivity(ExplainingTester):
    metric = MaxSensitivity
    oracle = staticmethod(slow)


def test_i2_the_gradient_of_a_linear_model_does_not_move():
    images = drawn(3, 3, 6, 9) - 0.5
    maps = drawn(3, 6, 9)
    assert MaxSensitivity().score(LinearModel(), images, 1, maps, gradient).tolist() == [0, 0, 0]


def test_i2_input_times_gradient_moves_by_about_the_radius():
    """w d / (w x): with |x| = 1 everywhere the ratio of norms is that of uniform numbers in [-r, r], r / sqrt(3)."""
    model = LinearModel(channels=1)
    images = (drawn(4, 1, 6, 9) > 0.5).double() * 2 - 1
    found = MaxSensitivity().score(model, images, 1, drawn(4, 6, 9), input_times_gradient, [str(i) for i in range(4)])
    assert (found > 0.02 / 3**0.5).all()
    assert (found < 0.02).all()


def test_i2_captum_with_the_same_perturbations():
    tester = TestMaxSensitivity()
    model, images, targets, maps, method, ids = tester.inputs(4)
    model.eval()
    metric = MaxSensitivity(draws=6, radius=0.1)
    explained, draws = Explained(model, images, targets, method), iter(range(7))

    def perturb(inputs, radius):
        return metric.moved(explained, ids, next(draws))

    def again(given):  # Captum takes the maps of a batch for a tuple of inputs, unless they come in one
        with torch.enable_grad():
            shown = given if isinstance(given, torch.Tensor) else given[0]
            return (method(model, shown, explained.rows)[:, None],)

    theirs = sensitivity_max(
        again,
        images,
        perturb,
        perturb_radius=0.1,
        n_perturb_samples=6,
        max_examples_per_batch=4,
    )
    ours = metric.score(model, images, targets, maps, method, ids)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=0)


def test_a_radius_of_pixels_is_divided_by_the_std():
    model = LinearModel()
    model.preprocessing = Preprocessing(size=(6, 9), mean=(0, 0, 0), std=(0.25, 0.25, 0.25))
    images, maps = drawn(2, 3, 6, 9), drawn(2, 6, 9)
    ours = MaxSensitivity(space="pixels").score(model, images, 1, maps, input_times_gradient)
    torch.testing.assert_close(ours, MaxSensitivity(radius=0.08).score(model, images, 1, maps, input_times_gradient))
    with pytest.raises(InputError, match="a change of pixels needs the normalization"):
        MaxSensitivity(space="pixels").score(LinearModel(), images, 1, maps, gradient)


def test_a_map_of_zeros_is_divided_by_one():
    images = drawn(2, 3, 6, 9)
    moved = lambda model, given, rows: (given - images).sum(1)  # noqa: E731 - zero on the clean images alone
    found = MaxSensitivity().score(LinearModel(), images, 1, drawn(2, 6, 9), moved)
    assert (found > 0).all()
    assert found.isfinite().all()


def test_what_cannot_be_is_refused():
    for arguments, message in (
        ({"radius": 0.0}, "radius is"),
        ({"draws": 0}, "draws is"),
        ({"space": "x"}, "space is"),
    ):
        with pytest.raises(InputError, match=message):
            MaxSensitivity(**arguments)
