"""Sparse autoencoders find planted directions, keep to k, and bring dead units back to life."""

import pytest
import torch
from torch.nn.functional import normalize

from lit_coiba.concepts import SparseAutoencoder, match_concepts
from lit_coiba.core.errors import InputError

CHANNELS, PLANTED, ACTIVE = 40, 44, 3
UNITS = torch.eye(6, dtype=torch.float64)


def planted(count=8192, seed=0):
    """Rows that are sums of 3 of 44 directions, with an offset; and the directions."""
    generator = torch.Generator().manual_seed(seed)
    directions = normalize(torch.randn(PLANTED, CHANNELS, generator=torch.Generator().manual_seed(7)), dim=1)
    chosen = torch.rand(count, PLANTED, generator=generator).argsort(1) < ACTIVE
    coefficients = chosen * (0.5 + torch.rand(count, PLANTED, generator=generator))
    return coefficients @ directions, directions, coefficients


def train(autoencoder, rows, steps, lr=3e-3, auxiliary=1 / 32, dead_after=20, batch=512):
    """Adam on random batches; a unit is dead that was not active in so many steps. How many steps each is idle."""
    optimizer = torch.optim.Adam(autoencoder.parameters(), lr=lr)
    generator = torch.Generator().manual_seed(1)
    idle = torch.zeros(autoencoder.n_concepts)
    for step in range(steps):
        some = rows[torch.randint(len(rows), (batch,), generator=generator)]
        found = autoencoder.losses(some, idle >= dead_after if auxiliary else None)
        idle = torch.where((found.coefficients > 0).any(0), 0, idle + 1)
        optimizer.zero_grad()
        (found.reconstruction + auxiliary * found.auxiliary).backward()
        autoencoder.project_gradient()
        for group in optimizer.param_groups:
            group["lr"] = lr * (1 - step / steps)
        optimizer.step()
        autoencoder.constrain()
        torch.testing.assert_close(autoencoder.dictionary.norm(dim=1), torch.ones(autoencoder.n_concepts))
    return idle


def test_planted_directions_are_found():
    rows, directions, coefficients = planted()
    autoencoder = SparseAutoencoder(CHANNELS, n_concepts=2 * PLANTED, k=ACTIVE)
    train(autoencoder, rows, steps=1200)
    found = match_concepts(directions, autoencoder.dictionary.detach())
    assert (found.cosines > 0.9).double().mean() > 0.95
    assert found.cosines.mean() > 0.98
    fresh, _, _ = planted(2000, seed=5)
    with torch.no_grad():
        error = (autoencoder(fresh) - fresh).norm() / fresh.norm()
    assert error < 0.15
    best = int(found.cosines.argmax())
    same = torch.stack([coefficients[:, best], autoencoder.encode(rows).detach()[:, found.partners[best]]])
    assert torch.corrcoef(same)[0, 1] > 0.95


@pytest.mark.parametrize("k", [1, 3, 8])
def test_k_units_are_active_in_each_row_and_they_are_the_largest(k):
    torch.manual_seed(0)
    autoencoder = SparseAutoencoder(6, n_concepts=8, k=k)
    torch.nn.init.constant_(autoencoder.encoder_bias, 10.0)  # so that all units would be active
    rows = torch.randn(5, 7, 6)
    dense = (rows - autoencoder.pre_bias) @ autoencoder.encoder.T + autoencoder.encoder_bias
    found = autoencoder.encode(rows)
    assert found.shape == (5, 7, 8)
    assert ((found > 0).sum(-1) == k).all()
    for row, expected in zip(found.flatten(0, 1), dense.flatten(0, 1)):
        kept = sorted(expected.tolist())[-k:]
        assert sorted(row[row > 0].tolist()) == pytest.approx(kept, rel=1e-5)


def test_units_below_zero_stay_off():
    autoencoder = SparseAutoencoder(4, n_concepts=4, k=3)
    with torch.no_grad():
        autoencoder.encoder.copy_(torch.eye(4))
    assert autoencoder.encode(torch.tensor([[1.0, -2.0, -3.0, -4.0]])).tolist() == [[1.0, 0.0, 0.0, 0.0]]


def test_the_auxiliary_loss_revives_dead_units():
    """Units that point away from the data never win; only what is left over can teach them."""
    rows, _, _ = planted()
    alive = {}
    for auxiliary in (0.0, 1 / 32):
        autoencoder = SparseAutoencoder(CHANNELS, n_concepts=PLANTED, k=ACTIVE)
        with torch.no_grad():
            autoencoder.encoder[: PLANTED // 2] *= 1e-3
        idle = train(autoencoder, rows, steps=500, auxiliary=auxiliary)
        alive[auxiliary] = int((idle < 20).sum())
    assert alive[0.0] <= PLANTED * 0.6
    assert alive[1 / 32] >= PLANTED * 0.9


def test_the_auxiliary_loss_is_what_dead_units_leave_of_the_error():
    torch.manual_seed(0)
    autoencoder = SparseAutoencoder(5, n_concepts=6, k=1, k_aux=2).double()
    rows, dead = torch.randn(4, 5, dtype=torch.float64), torch.tensor([0, 1, 1, 1, 0, 0]).bool()
    found = autoencoder.losses(rows, dead)
    with torch.no_grad():
        left = rows - autoencoder(rows)
        total = 0.0
        for row, error in zip(rows, left):
            values = [(float((row @ autoencoder.encoder[unit]).relu()), unit) for unit in (1, 2, 3)]
            made = sum((value * autoencoder.dictionary[unit] for value, unit in sorted(values)[-2:]), torch.zeros(5))
            total += float((made - error).square().sum())
    assert found.auxiliary.item() == pytest.approx(total / float(left.square().sum()), rel=1e-6)
    assert found.reconstruction.item() == pytest.approx(float(left.square().sum(1).mean()), rel=1e-6)
    assert autoencoder.losses(rows).auxiliary == 0
    assert autoencoder.losses(rows, torch.zeros(6, dtype=torch.bool)).auxiliary == 0


@pytest.mark.parametrize("selection", ["topk", "batch_topk"])
def test_the_gradient_of_the_coefficients_is_that_of_finite_differences(selection):
    torch.manual_seed(2)
    autoencoder = SparseAutoencoder(6, n_concepts=12, k=3, selection=selection).double().eval()
    autoencoder.threshold.fill_(0.3)
    row = torch.randn(6, dtype=torch.float64)
    values = autoencoder.encode(row).detach()
    gaps = (values[values > 0].unsqueeze(0) - values[values > 0].unsqueeze(1)).abs()
    assert (values > 0).sum() >= 2
    assert gaps[gaps > 0].min() > 1e-3  # away from ties
    weights = torch.randn(12, dtype=torch.float64)
    leaf = row.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(autoencoder.encode(leaf) @ weights, leaf)
    step = 1e-6
    with torch.no_grad():
        ends = [torch.stack([autoencoder.encode(row + sign * step * unit) for sign in (1, -1)]) for unit in UNITS]
    expected = [float((end[0] - end[1]) @ weights / (2 * step)) for end in ends]
    assert gradient.tolist() == pytest.approx(expected, rel=1e-6, abs=1e-8)


def test_batch_top_k_keeps_k_on_average_and_then_a_threshold():
    rows, _, _ = planted(2048)
    autoencoder = SparseAutoencoder(CHANNELS, n_concepts=PLANTED, k=ACTIVE, selection="batch_topk").train()
    counts = (autoencoder.encode(rows) > 0).sum(1)
    assert counts.sum() == ACTIVE * len(rows)
    assert counts.min() < ACTIVE < counts.max()
    train(autoencoder, rows, steps=300)
    assert autoencoder.threshold > 0
    autoencoder.eval()
    found = autoencoder.encode(rows)
    assert found[found > 0].min() > autoencoder.threshold
    assert (found > 0).sum(1).double().mean() == pytest.approx(ACTIVE, rel=0.2)
    torch.testing.assert_close(autoencoder.encode(rows[:1]), found[:1])  # whatever the batch


@pytest.mark.parametrize("selection", ["topk", "batch_topk"])
def test_rows_in_another_unit_have_coefficients_in_that_unit(selection):
    torch.manual_seed(0)
    rows, center, scale = torch.randn(20, 6), torch.randn(6), torch.tensor(2.5)
    autoencoder = SparseAutoencoder(6, n_concepts=12, k=3, selection=selection).eval()
    torch.nn.init.normal_(autoencoder.encoder_bias, std=0.1)
    torch.nn.init.normal_(autoencoder.pre_bias, std=0.1)
    autoencoder.threshold.fill_(0.2)
    other = autoencoder.rescaled(center, scale)
    torch.testing.assert_close(other.encode(rows * scale + center), scale * autoencoder.encode(rows))
    torch.testing.assert_close(other(rows * scale + center), scale * autoencoder(rows) + center)


def test_the_projected_gradient_does_not_change_lengths():
    torch.manual_seed(0)
    autoencoder = SparseAutoencoder(6, n_concepts=12, k=3)
    autoencoder.losses(torch.randn(20, 6)).reconstruction.backward()
    before = (autoencoder.dictionary.grad * autoencoder.dictionary).sum(1)
    autoencoder.project_gradient()
    after = (autoencoder.dictionary.grad * autoencoder.dictionary).sum(1)
    assert before.abs().max() > 1e-2
    assert after.abs().max() < 1e-6


def test_half_precision_is_encoded_in_single_precision():
    autoencoder = SparseAutoencoder(6, n_concepts=12, k=3)
    rows = torch.randn(4, 6, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert torch.equal(autoencoder.encode(rows), autoencoder.encode(rows.float()))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"k": 9}, "k is 9, but there are 8 concepts"),
        ({"k": 0}, "k is 0"),
        ({"n_concepts": 0}, "n_concepts is 0"),
        ({"selection": "largest"}, "selection is 'largest'"),
        ({"k_aux": 0}, "k_aux is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"k": 2.5}, "k is 2.5: give a whole number"),
    ],
)
def test_arguments_that_cannot_be(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        SparseAutoencoder(4, **{"n_concepts": 8, "k": 2, **arguments})
