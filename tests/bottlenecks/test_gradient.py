"""The gradient that Adam follows, against finite differences of a loss that is computed without the package."""

import pytest
import torch

from lit_coiba.bottlenecks import IBA, CoIBA
from lit_coiba.bottlenecks.fitting import PerImageAdam
from tests._testers import tiny
from tests._testers.twins import SlowCoIBA, SlowIBA


class Stop(Exception):
    """The gradient function has been caught."""


def caught(monkeypatch, method, model, images, targets):
    """Alpha and the gradient, as a function of the step, that the fit of `method` follows."""
    found = []

    def fit(adam, alpha, images, bottleneck):
        found.extend([alpha, lambda step: adam.gradient(alpha, step, images, bottleneck)[0]])
        raise Stop

    monkeypatch.setattr(PerImageAdam, "fit", fit)
    with pytest.raises(Stop):
        method.explain(model, images, targets)
    return found


def differences(loss, alpha, positions, step=1e-5):
    """Central differences of ``loss(alpha)`` along some of the entries of alpha."""
    found = []
    for position in positions:
        shift = torch.zeros(alpha.shape, dtype=alpha.dtype)
        shift.view(-1)[position] = step
        with torch.no_grad():
            found.append((loss(alpha + shift) - loss(alpha - shift)) / (2 * step))
    return torch.stack(found)


@pytest.mark.parametrize("smoothing", [1.0, 0.0])
def test_iba_3_gradient_of_the_loss_on_a_tiny_cnn(monkeypatch, smoothing):
    model = tiny.resnet().double()
    images, targets = tiny.images(2, model.preprocessing.size).double(), torch.tensor([4, 7])
    statistics = tiny.statistics(model, ["layer2.1"])
    method = IBA("layer2.1", smoothing=smoothing, beta=3.0, copies=3)
    method.set_statistics(model, statistics, ())
    alpha, gradient = caught(monkeypatch, method, model, images, targets)
    (place,) = tiny.places(model, statistics, 3)
    active = statistics.active["layer2.1"] > 0.01
    twin = SlowIBA(model.model, place, active, smoothing=smoothing, beta=3.0, copies=3)
    with torch.no_grad():
        alpha.copy_(torch.linspace(-2, 6, alpha.numel(), dtype=torch.float64).view_as(alpha))
    slope = gradient(2)
    positions = torch.randperm(alpha[0].numel(), generator=torch.Generator().manual_seed(0))[:12]
    for image, target, point, found in zip(images, targets, alpha.detach(), slope):
        expected = differences(lambda a: twin.information(image, target, a, 2)[0], point, positions)  # noqa: B023
        torch.testing.assert_close(found.flatten()[positions], expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("information", ["first", "mean"])
def test_gradient_of_coibas_loss_with_its_information_in_closed_form(monkeypatch, information):
    layers = [f"blocks.{i}.norm1" for i in (1, 3, 4)]
    model = tiny.vit().double()
    images, targets = tiny.images(2, model.preprocessing.size).double(), torch.tensor([4, 7])
    statistics = tiny.statistics(model, layers)
    method = CoIBA(layers, beta=3.0, copies=3, information=information)
    method.set_statistics(model, statistics, ())
    alpha, gradient = caught(monkeypatch, method, model, images, targets)
    twin = SlowCoIBA(model.model, tiny.places(model, statistics, 3), beta=3.0, copies=3, information=information)
    with torch.no_grad():
        alpha.copy_(torch.linspace(-2, 6, alpha.numel(), dtype=torch.float64).view_as(alpha))
    slope = gradient(1)
    for image, target, point, found in zip(images, targets, alpha.detach(), slope):
        expected = differences(lambda a: twin.information(image, target, a, 1)[0], point, range(17))  # noqa: B023
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)
