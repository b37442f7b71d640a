import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lit_coiba.functional import area_under_curve, perturb, resample_curve, step_counts


@given(st.integers(1, 200), st.integers(1, 200))
def test_steps_are_as_equal_as_whole_numbers_can_be(units, steps):
    steps = min(steps, units)
    counts = step_counts(units, steps=steps)
    sizes = [b - a for a, b in itertools.pairwise(counts)]
    assert (counts[0], counts[-1], len(counts)) == (0, units, steps + 1)
    assert max(sizes) - min(sizes) <= 1 <= min(sizes)


@given(st.integers(1, 200), st.integers(1, 250))
def test_steps_of_a_size_are_ceil_n_over_size(units, size):
    counts = step_counts(units, size=size)
    sizes = [b - a for a, b in itertools.pairwise(counts)]
    assert len(sizes) == -(-units // size)
    assert set(sizes[:-1]) <= {size}
    assert 1 <= sizes[-1] <= size
    assert (counts[0], counts[-1]) == (0, units)


def test_the_presets_at_224_pixels():
    assert len(step_counts(224 * 224, size=224)) == 225
    assert len(step_counts(224 * 224, size=8 * 224)) == 29  # the scores of CoIBA's authors


@pytest.mark.parametrize("arguments", [{}, {"steps": 2, "size": 2}, {"steps": 5}, {"steps": 0}, {"size": 0}])
def test_steps_that_make_no_sense_are_refused(arguments):
    with pytest.raises(ValueError, match="steps"):
        step_counts(4, **arguments)


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=30))
def test_area_is_the_trapezoid_of_the_spec_and_the_rule_of_the_released_scripts(scores):
    found = area_under_curve(torch.tensor([scores], dtype=torch.float64)).item()
    steps = len(scores) - 1
    trapezoid = sum((a + b) / 2 for a, b in itertools.pairwise(scores)) / steps
    script = (sum(scores) - (scores[0] + scores[-1]) / 2) / (len(scores) - 1)
    assert found == pytest.approx(trapezoid, abs=1e-12)
    assert found == pytest.approx(script, abs=1e-12)


def test_d1_d3_areas_by_hand():
    curves = torch.tensor([[1, 0.6, 0.3, 0.1, 0], [0, 0.4, 0.7, 0.9, 1], [0.2] * 5], dtype=torch.float64)
    assert area_under_curve(curves).tolist() == pytest.approx([0.375, 0.625, 0.2])


def test_perturb_exchanges_all_channels_of_the_first_places():
    start, end = torch.zeros(2, 3, 2, 2), torch.ones(2, 3, 2, 2)
    places = torch.tensor([[[0, 1], [2, 3]], [[3, 2], [1, 0]]])
    mixed = perturb(start, end, places, torch.tensor([1, 3]))
    assert mixed[0, 0].tolist() == [[1, 0], [0, 0]]
    assert mixed[1, 0].tolist() == [[0, 1], [1, 1]]
    assert all(torch.equal(mixed[:, 0], mixed[:, channel]) for channel in (1, 2))
    assert not start.any()
    assert end.all()


def test_resampled_curves_are_interpolated():
    curves = torch.tensor([[0.0, 1.0, 0.0], [2.0, 2.0, 4.0]])
    torch.testing.assert_close(resample_curve(curves, 5), torch.tensor([[0, 0.5, 1, 0.5, 0], [2, 2, 2, 3, 4]]))
    assert resample_curve(curves, 3) is curves
