import math

import numpy as np
import pytest
import torch

from lit_coiba.functional import first_order, replicated_rows, sobol_sequence, total_order

ESTIMATORS = ("jansen", "homma", "janon", "glen_isaacs", "saltelli")


def design(n, d, **arguments):
    return replicated_rows(sobol_sequence(n, 2 * d, **arguments), torch.arange(n * (d + 1)))


def indices(function, n, d, estimator="jansen", **arguments):
    scores = function(design(n, d, **arguments))
    return total_order(scores[:n], scores[n:].view(d, n), estimator)


def first_indices(function, n, d, **arguments):
    a, b, c = function(replicated_rows(sobol_sequence(n, 2 * d, **arguments), torch.arange(n * (d + 2)), True)).split(
        [n, n, n * d]
    )
    return first_order(a, b, c.view(d, n))


def additive(weights):
    return lambda masks: masks @ torch.tensor(weights, dtype=torch.float64)


def ishigami(u):
    x = (2 * u - 1) * math.pi
    return x[..., 0].sin() + 7 * x[..., 1].sin() ** 2 + 0.1 * x[..., 2] ** 4 * x[..., 0].sin()


G = torch.tensor([0.0, 1.0, 4.5, 9.0], dtype=torch.float64)


def g_function(u):
    return (((4 * u - 2).abs() + G) / (1 + G)).prod(-1)


def g_total():
    """Closed form: partial variances of a product of independent factors of mean one."""
    own = (1 / 3) / (1 + G) ** 2
    whole = (1 + own).prod() - 1
    return own * torch.stack([(1 + own[torch.arange(4) != i]).prod() for i in range(4)]) / whole


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_s1_additive_scores(estimator):
    found = indices(additive([1.0, 2.0, 3.0, 0.0]), 1024, 4, estimator)
    torch.testing.assert_close(found, torch.tensor([1, 4, 9, 0]).double() / 14, atol=2e-3, rtol=0)
    assert abs(found.sum() - 1) < 5e-3


def test_s1b_the_public_sampler_is_low_at_32_points():
    found = indices(additive([1.0, 2.0, 3.0, 0.0]), 32, 4)
    expected = torch.tensor([0.0674, 0.2539, 0.6070, 0.0]).double()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_pitfall_1_skipping_two_points_is_worse_and_a_block_is_better():
    truth = 9 / 14
    two, block, none = (indices(additive([1.0, 2.0, 3.0, 0.0]), 32, 4, skip=skip)[2] for skip in (2, 32, 0))
    assert abs(two - 0.784) < 1e-3
    assert abs(block - 0.632) < 1e-3
    assert abs(block - truth) < abs(none - truth) < abs(two - truth)


def test_pitfall_1_scrambled_points_are_three_percent_low_on_average():
    found = torch.stack([indices(additive([1.0, 2.0, 3.0, 0.0]), 32, 4, seed=seed) for seed in range(200)])
    torch.testing.assert_close(found.mean(0), torch.tensor([0.069, 0.277, 0.626, 0.0]).double(), atol=0.02, rtol=0)
    assert 0.05 < found[:, 2].std() < 0.08


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_s2_ishigami(estimator):
    expected = torch.tensor([0.5576, 0.4424, 0.2437]).double()
    torch.testing.assert_close(indices(ishigami, 4096, 3, estimator), expected, atol=2e-2, rtol=0)
    if estimator == "jansen":
        exact = torch.tensor([0.5573, 0.4423, 0.2432]).double()
        torch.testing.assert_close(indices(ishigami, 4096, 3), exact, atol=1e-4, rtol=0)


def test_s2_g_function():
    torch.testing.assert_close(indices(g_function, 4096, 4, seed=0), g_total(), atol=2e-2, rtol=0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("function", "names"), [(ishigami, "abc"), (g_function, "abcd")])
def test_s2_salib_agrees(function, names):
    sobol = pytest.importorskip("SALib.analyze.sobol")
    sampler = pytest.importorskip("SALib.sample.sobol")
    d = len(names)
    problem = {"num_vars": d, "names": list(names), "bounds": [[0, 1]] * d}
    points = sampler.sample(problem, 4096, calc_second_order=False, seed=0)
    scores = function(torch.from_numpy(points)).numpy()
    found = sobol.analyze(problem, scores, calc_second_order=False, num_resamples=2, seed=0)
    assert np.abs(found["ST"] - indices(function, 4096, d, seed=0).numpy()).max() < 0.02
    assert np.abs(found["S1"] - first_indices(function, 4096, d, seed=0).numpy()).max() < 0.02


def test_s3_a_product_and_an_input_that_is_not_used():
    def function(masks):
        return masks[:, 0] * masks[:, 1]

    found = indices(function, 1024, 3)
    torch.testing.assert_close(found[:2], torch.tensor([0.5709, 0.5708]).double(), atol=1e-4, rtol=0)
    assert found[2] == 0
    first = first_indices(function, 4096, 3)
    torch.testing.assert_close(first, torch.tensor([3 / 7, 3 / 7, 0]).double(), atol=2e-2, rtol=0)
    assert first[2] == 0


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_s4_scale_and_shift_change_nothing(estimator):
    plain = indices(ishigami, 64, 3, estimator, seed=1)
    torch.testing.assert_close(indices(lambda u: 100 - 3 * ishigami(u), 64, 3, estimator, seed=1), plain)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_s4_inputs_may_change_places(estimator):
    order = torch.tensor([2, 0, 1])
    points = sobol_sequence(64, 6, seed=1)
    moved = torch.cat([half[:, order] for half in points.chunk(2, -1)], -1)
    found = []
    for halves, score in ((points, ishigami), (moved, lambda u: ishigami(u[:, order.argsort()]))):
        scores = score(replicated_rows(halves, torch.arange(64 * 4)))
        found.append(total_order(scores[:64], scores[64:].view(3, 64), estimator))
    torch.testing.assert_close(found[1], found[0][order])


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_s4_constant_scores_have_zeros(estimator, dtype):
    scores = torch.full((4, 8), 3.7, dtype=dtype)
    for noisy in (scores, torch.nextafter(scores, scores + torch.arange(8.0) % 2)):  # and but for rounding
        assert not total_order(noisy[0], noisy[1:], estimator).any()
        assert not first_order(noisy[0], noisy[1], noisy[1:]).any()


def test_s5_the_public_jansen_estimator():
    """Outputs in the public order [A; B; C_0; ...; C_(d-1)], by numpy, from the formula in the spec."""
    n, d = 32, 10
    outputs = np.random.default_rng(0).normal(size=n * (d + 2))
    a, c = outputs[:n], outputs[2 * n :].reshape(d, n)
    mean = a.mean()
    variance = np.sum([(value - mean) ** 2 for value in a]) / (n - 1)
    expected = [np.sum((a - row) ** 2.0) / (2 * n * variance) for row in c]
    found = total_order(torch.from_numpy(a), torch.from_numpy(c))
    assert np.abs(found.numpy() - np.array(expected)).max() < 1e-6
    several = total_order(torch.from_numpy(a)[:, None].expand(-1, 3), torch.from_numpy(c)[..., None].expand(-1, -1, 3))
    torch.testing.assert_close(several, found[:, None].expand(-1, 3))


def test_glen_isaacs_is_one_minus_the_correlation():
    draws = np.random.default_rng(1).normal(size=(4, 16))
    found = total_order(torch.from_numpy(draws[0]), torch.from_numpy(draws[1:]), "glen_isaacs")
    expected = [1 - np.corrcoef(draws[0], row)[0, 1] for row in draws[1:]]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_the_design_is_that_of_the_definition():
    halves = sobol_sequence(4, 6, seed=3)
    a, b = halves[:, :3], halves[:, 3:]
    stack = [a, b]
    for i in range(3):
        c = a.clone()
        c[:, i] = b[:, i]
        stack.append(c)
    whole = torch.cat(stack)
    assert torch.equal(replicated_rows(halves, torch.arange(20), True), whole)
    assert torch.equal(replicated_rows(halves, torch.arange(3, 17), True), whole[3:17])
    assert torch.equal(replicated_rows(halves, torch.arange(16)), torch.cat([whole[:4], whole[8:]]))
