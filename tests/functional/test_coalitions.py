from itertools import permutations

import pytest
import torch

from lit_coiba.functional import coalitions, shapley_values


def game(members):
    """Additive, with an interaction of three, one of two, and a player without influence (the last)."""
    additive = members @ torch.tensor([1.0, -2.0, 0.5, 3.0, 0.0]).double()
    return additive + 4 * members[:, 0] * members[:, 1] * members[:, 3] - 3 * members[:, 1] * members[:, 2] + 7


def exact(function, players):
    """From the definition: what a player adds, averaged over all orders."""
    values = [0.0] * players
    orders = list(permutations(range(players)))
    for order in orders:
        members = torch.zeros(1, players).double()
        before = float(function(members))
        for player in order:
            members[0, player] = 1
            after = float(function(members))
            values[player] += (after - before) / len(orders)
            before = after
    return torch.tensor(values).double()


def estimate(function, players, most, seed=0):
    members, weights = coalitions(players, most, seed)
    ends = torch.tensor([[0.0], [1.0]]).double().expand(2, players)
    empty, full = function(ends)
    found = shapley_values(members, weights, function(members)[:, None], empty[None], full[None])[:, 0]
    torch.testing.assert_close(found.sum(), full - empty)
    return found


def test_all_coalitions_give_the_shapley_values():
    truth = exact(game, 5)
    assert abs(truth[4]) < 1e-12
    for most in (30, 31, 1000):
        torch.testing.assert_close(estimate(game, 5, most), truth)


def test_samples_come_near_them_and_an_additive_game_is_exact():
    truth, errors = exact(game, 5), {}
    for most in (16, 29):
        found = torch.stack([estimate(game, 5, most, seed) for seed in range(60)])
        errors[most] = (found - truth).square().mean().sqrt()
        assert ((found.mean(0) - truth).abs() < 0.25).all()
    assert errors[29] < errors[16] < 1

    weights = torch.arange(20).double() ** 2
    found = estimate(lambda members: members @ weights + 3, 20, 200)
    torch.testing.assert_close(found, weights)


@pytest.mark.parametrize("most", [7, 40])
def test_coalitions_come_in_pairs(most):
    members, weights = coalitions(30, most, 3)
    assert members.shape == (most, 30)
    even = most // 2 * 2
    assert torch.equal(members[0:even:2], 1 - members[1:even:2])
    assert torch.equal(weights, torch.ones(most).double())
    assert ((members.sum(-1) >= 1) & (members.sum(-1) <= 29)).all()


def test_sizes_have_the_mass_of_the_kernel_and_members_equal_chances():
    members, _ = coalitions(20, 40_000)
    mass = torch.tensor([1 / (s * (20 - s)) for s in range(1, 20)])
    counts = members.sum(-1).long().bincount(minlength=20)[1:] / 40_000
    torch.testing.assert_close(counts, mass / mass.sum(), atol=0.01, rtol=0)
    assert (members.mean(0) - 0.5).abs().max() < 1e-12
    assert (members[::2].mean(0) - 0.5).abs().max() < 0.02


def test_too_few_coalitions_fall_back_on_equal_shares():
    found = estimate(lambda members: members.sum(-1) * 2, 30, 2)
    torch.testing.assert_close(found, torch.full((30,), 2.0).double())


def test_one_player_has_everything():
    assert estimate(lambda members: members[:, 0] * 3 + 1, 1, 10).tolist() == [3.0]
