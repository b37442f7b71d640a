"""Checks 1, 2 and 4 of harmonization: the loss."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from lit_coiba.core.errors import InputError
from lit_coiba.functional.pyramid import gaussian_pyramid
from lit_coiba.losses.harmonization import evaluation_saliency, harmonization_loss, training_saliency

ALL = torch.ones(4, dtype=torch.bool)


def maps(seed, count=4, side=16):
    return torch.randn(count, side, side, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def written_out(s, h, t, levels=5):
    """The equations, one pixel of one image at a time where they say so."""
    total = 0.0
    for g, m, weight in zip(s, h, t):
        g, m = (((x - x.mean()) / (x.std(correction=0) + 1e-5)).clamp_min(0) for x in (g, m))
        m = m / (m.max() + 1e-6) * (g.max() + 1e-6)
        for level in range(levels):
            total = total + float(weight) * ((g - m) ** 2).mean()
            if level < levels - 1:
                g, m = shrunk(g), shrunk(m)
    return total / levels / len(s)


def shrunk(x):
    kernel = [1, 4, 6, 4, 1]
    half = x.shape[0] // 2
    found = torch.zeros(half, half, dtype=x.dtype)
    for i in range(half):
        for j in range(half):
            for a in range(5):
                for b in range(5):
                    y, z = 2 * i + a - 1, 2 * j + b - 1
                    if 0 <= y < x.shape[0] and 0 <= z < x.shape[1]:
                        found[i, j] += kernel[a] * kernel[b] / 256 * x[y, z]
    return found


def test_it_is_the_mean_squared_difference_over_levels_images_and_pixels():
    s, h, t = maps(0, 2), maps(1, 2), torch.tensor([1.0, 0.5], dtype=torch.float64)

    assert harmonization_loss(s, h, t).item() == pytest.approx(float(written_out(s, h, t)), rel=1e-12)


def test_equal_maps_cost_nothing_and_affine_changes_next_to_nothing():
    s, h = maps(0), maps(1)

    assert harmonization_loss(s, s, ALL) < 1e-12
    plain, changed = harmonization_loss(s, h, ALL), harmonization_loss(3 * s + 7, 10 * h - 2, ALL)
    assert plain > 0.1
    assert changed.item() == pytest.approx(plain.item(), rel=1e-4)


def test_a_negated_peaked_map_costs_more():
    peak = torch.zeros(1, 16, 16, dtype=torch.float64)
    peak[0, 4:7, 4:7] = 1

    one = torch.ones(1, dtype=torch.bool)
    assert harmonization_loss(-peak, peak, one) > harmonization_loss(peak, peak, one) + 0.01


def test_images_without_a_map_cost_nothing_and_stay_in_the_denominator():
    s, h = maps(0), maps(1)
    alone = harmonization_loss(s[:1], h[:1], ALL[:1])

    assert harmonization_loss(s, h, torch.zeros(4)) == 0
    first = harmonization_loss(s, h, torch.tensor([True, False, False, False]))
    assert first.item() == pytest.approx(alone.item() / 4)
    unknown = torch.where(torch.arange(4)[:, None, None] == 0, h, torch.nan)  # whatever stands there is not read
    assert harmonization_loss(s, unknown, torch.tensor([True, False, False, False])) == first
    shares = [harmonization_loss(s, h, torch.full((4,), share)).item() for share in (0.0, 0.3, 0.6, 1.0)]
    assert shares == sorted(shares)


def z(x):
    return ((x - x.mean((1, 2), keepdim=True)) / (x.std((1, 2), keepdim=True, correction=0) + 1e-5)).relu()


def with_fixed_peaks(s, h, peaks, levels):
    """The loss where the peaks that human maps are scaled to are numbers: what is differentiated."""
    human = z(h) / (z(h).amax((1, 2), keepdim=True) + 1e-6) * peaks
    return torch.stack([level.square().mean() for level in gaussian_pyramid(z(s) - human, levels)]).mean()


def peaks_of(s):
    return (z(s).amax((1, 2), keepdim=True) + 1e-6).detach()


def linear(classes=3, side=6):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * side * side, classes)).double()


def test_the_saliency_of_a_linear_model_is_its_weights():
    model, images, targets = linear(), maps(2, 4 * 3, 6).view(4, 3, 6, 6), torch.tensor([0, 2, 1, 2])
    weights = model[1].weight.detach().view(3, 3, 6, 6)
    x = images.clone().requires_grad_()

    signed = training_saliency(model(x), x, targets)
    absolute = training_saliency(model(x), x, targets, "absolute")
    logits, shown = evaluation_saliency(model, images, targets)

    assert torch.allclose(signed, weights[targets].mean(1))
    assert torch.allclose(absolute, weights[targets].abs().mean(1))
    assert torch.allclose(shown, weights[targets].abs().amax(1))
    assert torch.equal(logits, model(images))
    other = model(images).detach().scatter(1, targets[:, None], -torch.inf).argmax(1)
    margin = training_saliency(model(x), x, targets, "margin")
    assert torch.allclose(margin, (weights[targets] - weights[other]).mean(1))


def test_the_gradient_with_respect_to_the_weights_equals_finite_differences():
    images, h, targets = maps(2, 2 * 3, 6).view(2, 3, 6, 6), maps(3, 2, 6), torch.tensor([0, 2])
    model = linear()

    def saliency(weight):
        x = images.clone().requires_grad_()
        return training_saliency(x.flatten(1) @ weight.T, x, targets)

    weight = model[1].weight.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(harmonization_loss(saliency(weight), h, ALL[:2], levels=3), weight)
    peaks = peaks_of(saliency(weight))

    def loss(weight):
        return with_fixed_peaks(saliency(weight), h, peaks, 3)

    for row, column in ((0, 0), (0, 17), (0, 50), (2, 3), (2, 107)):
        step = torch.zeros_like(weight)
        step[row, column] = 1e-6
        numeric = (loss(weight.detach() + step) - loss(weight.detach() - step)) / 2e-6
        assert gradient[row, column].item() == pytest.approx(numeric.item(), rel=1e-5, abs=1e-9)
    assert not gradient[1].any()  # of a class that no image has


def test_the_gradient_through_a_deep_model_equals_finite_differences():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 36, 3)).double()
    images, h, targets = maps(2, 2 * 3, 6).view(2, 3, 6, 6), maps(3, 2, 6), torch.tensor([0, 2])

    def saliency():
        x = images.clone().requires_grad_()
        return training_saliency(model(x), x, targets)

    weight = model[0].weight
    (gradient,) = torch.autograd.grad(harmonization_loss(saliency(), h, ALL[:2], levels=3), weight)
    peaks = peaks_of(saliency())
    for place in ((0, 0, 0, 0), (1, 2, 1, 1), (3, 1, 2, 0)):
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                weight[place] += sign * 1e-6
            values.append(with_fixed_peaks(saliency(), h, peaks, 3).item())
            with torch.no_grad():
                weight[place] -= sign * 1e-6
        assert gradient[place].item() == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5, abs=1e-9)


def test_without_maps_the_gradient_is_that_of_the_cross_entropy():
    model, images, targets = linear(), maps(2, 4 * 3, 6).view(4, 3, 6, 6), torch.tensor([0, 2, 1, 2])
    x = images.clone().requires_grad_()
    logits = model(x)
    both = cross_entropy(logits, targets) + harmonization_loss(
        training_saliency(logits, x, targets), maps(3, 4, 6), torch.zeros(4)
    )

    joint = torch.autograd.grad(both, list(model.parameters()))
    alone = torch.autograd.grad(cross_entropy(model(images), targets), list(model.parameters()))

    assert all(torch.equal(a, b) for a, b in zip(joint, alone))


def test_maps_of_another_size_are_refused():
    with pytest.raises(InputError, match=r"saliency is \(4, 16, 16\), importance \(4, 8, 8\).*resize the maps"):
        harmonization_loss(maps(0), maps(1, side=8), ALL)


def test_the_measured_saliency_also_comes_within_inference_mode():
    model = linear().requires_grad_(False)
    with torch.inference_mode():
        images = torch.rand(2, 3, 6, 6, dtype=torch.float64)
        _, shown = evaluation_saliency(model, images, torch.tensor([0, 1]))
    assert shown.shape == (2, 6, 6)
