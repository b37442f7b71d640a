"""Checks M1 to M7 of mege_reco.md on the pure functions."""

import itertools

import pytest
import torch
from scipy.stats import ks_2samp, spearmanr

from lit_coiba.functional.representativity import fold_pairs, folds_of, mege, reco


def maps(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow_pairs(maps, correct, fold):
    """Sample by sample, as the definition reads."""
    equal, unequal = [], []
    for i, j in itertools.combinations(range(len(maps)), 2):
        for x in range(maps.shape[1]):
            if fold[x] not in (i, j) or not (correct[i, x] or correct[j, x]):
                continue
            rho = spearmanr(maps[i, x].flatten(), maps[j, x].flatten()).statistic
            (equal if correct[i, x] and correct[j, x] else unequal).append((1 - abs(rho)) ** 0.5)
    return sorted(equal), sorted(unequal)


def test_the_pairs_are_those_of_the_definition():
    phi, fold = maps(3, 20, 4, 5), folds_of(20, 3)
    correct = maps(3, 20, seed=1) < 0.6
    pairs = fold_pairs(phi, correct, fold)
    equal, unequal = slow_pairs(phi, correct, fold)
    assert sorted(pairs.equal.tolist()) == pytest.approx(equal, abs=1e-9)
    assert sorted(pairs.unequal.tolist()) == pytest.approx(unequal, abs=1e-9)


def test_m1_identical_models():
    phi = maps(1, 12, 6, 6).expand(4, -1, -1, -1)
    pairs = fold_pairs(phi, torch.ones(4, 12, dtype=torch.bool), folds_of(12, 4))
    assert pairs.equal.tolist() == [0] * (3 * 12)
    assert len(pairs.unequal) == 0
    assert mege(pairs.equal) == 1
    assert reco(pairs.equal, pairs.unequal).isnan()


@pytest.mark.parametrize(("side", "expected"), [(32, 0.503), (7, 0.5155)])
def test_m2_random_maps(side, expected):
    pairs = fold_pairs(maps(3, 400, side, side), torch.ones(3, 400, dtype=torch.bool), folds_of(400, 3))
    assert len(pairs.equal) == 2 * 400
    assert mege(pairs.equal).item() == pytest.approx(expected, abs=0.01)


def test_m3_separated_and_alike():
    assert reco(torch.tensor([0.1, 0.2]), torch.tensor([0.8, 0.9])) == 1
    found = [reco(maps(n), maps(n, seed=1)).item() for n in (30, 3000, 300_000)]
    assert found[0] > found[1] > found[2]
    assert found[2] < 0.01


@pytest.mark.parametrize("seed", range(6))
def test_m4_the_statistic_of_kolmogorov_and_smirnov(seed):
    first, second = maps(50 + seed, seed=seed), maps(37, seed=seed + 100) ** 0.7
    if seed % 2:  # ties, also between the two
        first, second = (8 * first).round(), (8 * second).round()
    theirs = ks_2samp(first, second, alternative="greater").statistic
    assert reco(first, second).item() == pytest.approx(theirs, abs=1e-12)


def test_m5_ranks_alone_decide():
    phi, fold, correct = maps(3, 15, 5, 5), folds_of(15, 3), maps(3, 15, seed=1) < 0.7
    pairs = fold_pairs(phi, correct, fold)
    turned = torch.stack([-phi[0], phi[1].exp(), 5 * phi[2] ** 3])
    again = fold_pairs(turned, correct, fold)
    torch.testing.assert_close(again.distance, pairs.distance, rtol=0, atol=1e-12)
    assert reco(again.equal, again.unequal) == reco(pairs.equal, pairs.unequal)


def test_m6_every_pair_with_a_right_model_and_no_other():
    """k = 3, N = 12, fold i has samples 4i to 4i + 3; a table by hand."""
    fold = folds_of(12, 3, seed=None)
    assert fold.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    correct = torch.tensor(
        [
            [1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 1, 1],
            [1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0],
            [1, 0, 0, 0, 1, 1, 1, 0, 0, 1, 0, 1],
        ]
    ).bool()
    pairs = fold_pairs(maps(3, 12, 3, 3), correct, fold)
    both = {(i, j, x) for i, j in ((0, 1), (0, 2), (1, 2)) for x in range(12) if int(fold[x]) in (i, j)}
    expected = {(i, j, x) for i, j, x in both if correct[i, x] or correct[j, x]}
    found = {(*two, x) for two, x in zip(pairs.models.tolist(), pairs.sample.tolist())}
    assert found == expected
    assert len(pairs.equal) + len(pairs.unequal) == len(expected)
    assert len(pairs.equal) == sum(bool(correct[i, x] and correct[j, x]) for i, j, x in expected)


def test_m7_the_ends_of_the_scale():
    assert mege(torch.zeros(3)) == 1
    assert mege(torch.ones(3)) == 0.5
    assert mege(torch.empty(0)).isnan()


def test_maps_without_a_rank_are_in_neither_list():
    phi = maps(2, 6, 3, 3)
    phi[0, 2], phi[1, 4, 0, 0] = 0.5, torch.nan
    pairs = fold_pairs(phi, torch.ones(2, 6, dtype=torch.bool), folds_of(6, 2))
    assert pairs.distance.isnan().nonzero()[:, 0].tolist() == [2, 4]
    assert len(pairs.equal) == 4


def test_folds_are_even_seeded_and_complete():
    for seed in (None, 0, 7):
        assert folds_of(23, 4, seed).bincount().tolist() in ([6, 6, 6, 5], [6, 6, 5, 6], [6, 5, 6, 6], [5, 6, 6, 6])
    assert not torch.equal(folds_of(50, 5, 0), folds_of(50, 5, 1))
    assert torch.equal(folds_of(50, 5, 3), folds_of(50, 5, 3))


def test_one_model_has_no_pairs():
    assert len(fold_pairs(maps(1, 4, 2, 2), torch.ones(1, 4, dtype=torch.bool), torch.zeros(4).long()).sample) == 0
