import math
import sys

import pytest
import torch

from lit_coiba.functional import hsic, replicated_rows, sobol_sequence, total_order


def slow_hsic(inputs, scores, kernel, bandwidth):
    """Double centring with explicit matrices, one input and one pair of points at a time."""
    n, d = inputs.shape
    kernels = {
        "binary": lambda a, b: 0.5 - (a - b) ** 2,
        "rbf": lambda a, b: math.exp(-((a - b) ** 2) / (2 * 0.5**2)),
        "sobolev": lambda a, b: ((a - b) ** 2 - abs(a - b) + 1 / 6) / 2 + (a - 0.5) * (b - 0.5),
    }
    y = scores.tolist()
    if bandwidth == "median_y":
        width = float(scores.quantile(0.5))
    else:
        apart = sorted(abs(y[j] - y[k]) for j in range(n) for k in range(j) if y[j] != y[k])
        width = (apart[(len(apart) - 1) // 2] + apart[len(apart) // 2]) / 2
    centring = torch.eye(n, dtype=torch.float64) - 1 / n
    out = torch.tensor([[math.exp(-((p - q) ** 2) / (2 * width**2)) for q in y] for p in y], dtype=torch.float64)
    found = []
    for i in range(d):
        column = inputs[:, i].tolist()
        own = torch.tensor([[1 + kernels[kernel](p, q) for q in column] for p in column], dtype=torch.float64)
        product = (centring @ own @ centring) @ (centring @ out @ centring)
        found.append(float(product.trace()) / n)
    return torch.tensor(found, dtype=torch.float64)


def binary(n, d, **arguments):
    return sobol_sequence(n, d, **arguments).round()


@pytest.mark.parametrize("kernel", ["binary", "rbf", "sobolev"])
@pytest.mark.parametrize("bandwidth", ["median_distance", "median_y"])
def test_h3_brute_force_double_centring_agrees(kernel, bandwidth):
    inputs = sobol_sequence(24, 5, seed=1)
    if kernel == "binary":
        inputs = inputs.round()
    scores = torch.stack([(3 * inputs).sin().sum(-1) + 0.1, inputs[:, 0] * inputs[:, 1] - inputs[:, 3] + 0.7], 1)
    found = hsic(inputs, scores, kernel, bandwidth)
    expected = torch.stack([slow_hsic(inputs, y, kernel, bandwidth) for y in scores.T], 1)
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-6)
    assert (expected >= -1e-8).all()
    assert (found >= 0).all()


def test_h1_one_cell_alone():
    masks = binary(512, 16)
    found = hsic(masks, (2 * masks[:, 3] + 1)[:, None])[:, 0]
    torch.testing.assert_close(found / found.max(), torch.eye(16)[3].double(), atol=1e-9, rtol=0)
    masks = binary(500, 64)
    found = hsic(masks, (2 * masks[:, 3] + 1)[:, None])[:, 0]
    assert found.argmax() == 3
    assert (found[torch.arange(64) != 3] <= 6.1e-4 * found[3]).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_h1_with_scrambled_masks(seed):
    masks = binary(512, 64, seed=seed)
    found = hsic(masks, (2 * masks[:, 3] + 1)[:, None])[:, 0]
    assert found.argmax() == 3
    assert (found[torch.arange(64) != 3] < 0.05 * found[3]).all()


@pytest.mark.parametrize("kernel", ["binary", "rbf", "sobolev"])
@pytest.mark.parametrize("bandwidth", ["median_distance", "median_y"])
def test_h2_constant_scores_have_zeros(kernel, bandwidth):
    for value in (0.0, 3.3):
        scores = torch.full((16, 1), value)
        noisy = torch.nextafter(scores, torch.where(torch.arange(16)[:, None] % 2 == 0, scores + 1, scores - 1))
        for constant in (scores, noisy) if value else (scores,):
            assert torch.equal(hsic(binary(16, 4), constant, kernel, bandwidth), torch.zeros(4, 1).double())


def test_a_median_score_of_zero_gives_finite_numbers():
    masks = binary(16, 4)
    scores = torch.where(masks[:, 0] > 0, masks[:, 1], 0.0)
    assert scores.median() == 0
    found = hsic(masks, scores[:, None], bandwidth="median_y")
    assert found.isfinite().all()
    assert found.max() > 0


def test_a_shift_of_the_scores_matters_to_the_published_bandwidth_only():
    masks = binary(64, 4)
    scores = masks @ torch.tensor([[1.0], [2.0], [0.5], [0.0]]).double() + 1
    torch.testing.assert_close(hsic(masks, scores + 10), hsic(masks, scores))
    assert not torch.allclose(hsic(masks, scores + 10, bandwidth="median_y"), hsic(masks, scores, bandwidth="median_y"))


def test_h4_an_exclusive_or_is_missed_where_sobol_sees_it():
    masks = binary(512, 16)
    found = hsic(masks, (masks[:, 0] != masks[:, 1]).double()[:, None])[:, 0]
    alone = hsic(masks, masks[:, :1])[:, 0]
    assert (found[:2] < 1e-3 * alone[0]).all()
    points = replicated_rows(sobol_sequence(512, 8), torch.arange(512 * 5)) > 0.5
    scores = (points[:, 0] != points[:, 1]).double()
    torch.testing.assert_close(
        total_order(scores[:512], scores[512:].view(4, 512)), torch.tensor([1, 1, 0, 0]).double(), atol=0.05, rtol=0
    )


def test_many_scores_at_once_are_each_of_them_alone(monkeypatch):
    masks, scores = binary(32, 4), torch.randn(32, 5, generator=torch.Generator().manual_seed(0))
    together = hsic(masks, scores)
    monkeypatch.setattr(sys.modules["lit_coiba.functional.hsic"], "AT_ONCE", 1)
    torch.testing.assert_close(hsic(masks, scores), together)
    torch.testing.assert_close(hsic(masks, scores[:, 2:3]), together[:, 2:3])
