"""Ranks with ties, agreement of metrics, and critical differences."""

import math

import pytest
import torch
from scipy.stats import kendalltau

from lit_coiba.benchmark.plots import _groups
from lit_coiba.benchmark.ranking import Place, agreement, average_ranks_of, critical_difference, places

NAN = math.nan


@pytest.fixture
def scores():
    """a and b are alike but for noise, c is lower by .1 on the same samples, d is undefined."""
    base = torch.rand(100, generator=torch.Generator().manual_seed(1)).double()
    noise = torch.randn(100, generator=torch.Generator().manual_seed(2)).double() / 10
    return {
        "a": {"m": base},
        "b": {"m": base + noise - noise.mean()},
        "c": {"m": base - 0.1},
        "d": {"m": torch.full((100,), NAN).double()},
    }


def test_methods_without_a_significant_difference_share_a_rank(scores):
    found = places(scores, "m", True, list(scores))
    assert found == {"a": Place(1, True), "b": Place(1, True), "c": Place(3, False)}
    lower = places(scores, "m", False, list(scores))
    assert lower == {"a": Place(2, False), "b": Place(2, False), "c": Place(1, True)}


def test_a_rank_is_among_the_methods_that_are_asked_for(scores):
    assert places(scores, "m", True, ["c"]) == {"c": Place(1, False)}
    assert places(scores, "m", True, ["d"]) == places(scores, "other", True, list(scores)) == {}


def test_undefined_samples_are_left_out_of_a_pair(scores):
    scores["c"]["m"][:50] = NAN
    assert places(scores, "m", True, ["a", "c"]) == {"a": Place(1, True), "c": Place(2, False)}


def test_agreement_is_kendalls_tau_of_the_means():
    values = {"w": (1, 10, 1), "x": (2, 30, 2), "y": (3, 20, 3), "z": (4, 40, NAN), "edges": (9, 0, 0)}
    scores = {
        name: {metric: torch.tensor([float(value)]) for metric, value in zip(("up", "down", "few"), found)}
        for name, found in values.items()
    }
    found = agreement(scores, {"up": True, "down": False, "few": True, "free": None}, {"edges"})
    assert found.methods == ["w", "x", "y", "z"]
    assert found.metrics == ["up", "down", "few"]
    expected = kendalltau([1, 2, 3, 4], [-10, -30, -20, -40]).statistic
    assert expected == pytest.approx(-4 / 6)  # five of six pairs are turned around
    assert found.tau[0][1] == found.tau[1][0] == pytest.approx(expected)
    assert found.tau[0][2] == pytest.approx(1)
    assert found.pairs()[0] == (found.tau[0][1], "up", "down")


def test_metrics_that_rank_all_alike_or_too_few_have_no_agreement():
    scores = {name: {"same": torch.ones(2), "other": torch.full((2,), float(k))} for k, name in enumerate("abc")}
    found = agreement(scores, {"same": True, "other": True})
    assert found.metrics == ["other"]
    assert found.pairs() == []
    assert agreement({"a": scores["a"], "b": scores["b"]}, {"other": True}).metrics == []


def test_mean_ranks_are_over_the_samples_that_all_have():
    scores = {"a": {"m": torch.tensor([3.0, 1.0, 1.0])}, "b": {"m": torch.tensor([2.0, 1.0, NAN])}}
    assert average_ranks_of(scores, "m", True, ["a", "b"]) == ({"a": 1.25, "b": 1.75}, 2)
    assert average_ranks_of(scores, "m", False, ["a", "b"]) == ({"a": 1.75, "b": 1.25}, 2)
    assert average_ranks_of({"a": {"m": torch.tensor([NAN])}}, "m", True, ["a"]) == ({}, 0)


@pytest.mark.parametrize(("methods", "quantile"), [(2, 1.960), (4, 2.569), (10, 3.164)])
def test_the_critical_difference_is_that_of_demsars_table(methods, quantile):
    expected = quantile * math.sqrt(methods * (methods + 1) / (6 * 14))
    assert critical_difference(methods, 14) == pytest.approx(expected, abs=1e-3)
    assert critical_difference(4, 14, 0.1) == pytest.approx(2.291 * math.sqrt(20 / 84), abs=1e-3)


def test_demsars_example():
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=5e-3)  # JMLR 2006, section 3.2.4


def test_groups_within_the_critical_difference():
    assert _groups([1.0, 1.5, 2.2, 4.0], 1.0) == [(1.0, 1.5), (1.5, 2.2)]
    assert _groups([1.0, 1.5, 2.0], 1.0) == [(1.0, 2.0)]
    assert _groups([1.0, 3.0], 1.0) == []
    assert _groups([2.0, 2.0], 1.0) == []  # one place: no bar to draw
