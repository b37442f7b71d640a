"""Certified decisions summed up, counted again with numpy, and what is said of them."""

import math
import re

import numpy as np
import pytest

from lit_coiba.lipschitz.decisions import EPSILON, USUAL, certified_decisions, promise, rounded_down, told


def test_shares_are_recounted():
    random = np.random.default_rng(0)
    radii = random.exponential(0.3, 201)
    right = [None if draw < 0.2 else bool(draw < 0.7) for draw in random.uniform(size=201)]
    found = certified_decisions(radii.tolist(), right)
    assert EPSILON == USUAL[0] == pytest.approx(0.141176, abs=1e-6)
    known = np.array([one is not None for one in right])
    hits = np.array([one is True for one in right])
    assert (found.total, found.labelled) == (201, known.sum())
    assert found.median == np.median(radii)
    for radius, share, accuracy in zip(USUAL, found.shares, found.accuracies):
        assert share == pytest.approx((radii > radius).mean())
        assert accuracy == pytest.approx((hits & (radii > radius))[known].mean())
    assert f"{found.accuracies[0]:.1%} of {known.sum()} labelled images" in told(found)


def test_without_labels_it_is_a_share_of_decisions():
    found = certified_decisions([0.1, math.inf], [None, None])
    assert found.accuracies == ()
    assert told(found).startswith("Certified at 36/255: 50.0% of 2 decisions; median certified radius infinite")
    assert certified_decisions([], []) is None


def test_what_is_promised_is_never_more_than_the_radius():
    for radius in np.random.default_rng(1).lognormal(-1, 4, 500).tolist():
        (said,) = re.findall(r"less than ([\d.]+) ", promise(radius))
        assert float(said) <= radius < float(said) * 1.01 + 1e-300
        assert rounded_down(radius) == said


@pytest.mark.parametrize(
    ("radius", "sentence"),
    [
        (math.inf, "No change of the pixels changes this decision."),
        (0.0, "Nothing is certified of this decision: its radius is 0 (L2, pixels from 0 to 1)."),
        (math.nan, ""),
    ],
)
def test_what_is_promised_at_the_ends(radius, sentence):
    assert promise(radius) == sentence
