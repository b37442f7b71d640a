import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lit_coiba.functional import (
    area_over,
    area_under_curve,
    curve_at,
    log_counts,
    perturb,
    relevance_gain,
    resample_curve,
    shares_removed,
    step_counts,
)


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


@given(st.integers(1, 5000), st.integers(1, 40))
def test_logarithmic_counts_go_from_none_to_all(units, steps):
    counts = log_counts(units, steps)
    assert (counts[0], counts[-1]) == (0, units)
    assert all(a < b for a, b in itertools.pairwise(counts))
    assert len(counts) <= max(steps, 2) + 1
    wanted = np.geomspace(1, units, steps) if steps > 1 else [units]
    assert all(min(abs(count - value) for value in wanted) <= 0.5 + 1e-6 for count in counts[2:])


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(0.01, 1)), min_size=2, max_size=20))
def test_areas_over_steps_of_any_width_are_those_of_numpy(points):
    scores = torch.tensor([[score for score, _ in points]], dtype=torch.float64)
    places = torch.tensor([[width for _, width in points]], dtype=torch.float64).cumsum(1)
    expected = np.trapezoid(scores[0], places[0]) / (places[0, -1] - places[0, 0])
    assert area_over(scores, places).item() == pytest.approx(float(expected), abs=1e-10)
    wanted = torch.linspace(0, 8, 30, dtype=torch.float64)
    found = curve_at(scores, places, wanted)[0]
    np.testing.assert_allclose(found, np.interp(wanted, places[0], scores[0]), atol=1e-9)


def test_a_point_that_is_not_known_is_asked_for_beyond_its_neighbor_only():
    found = curve_at(
        torch.tensor([[1.0, 0.5, torch.nan]]), torch.tensor([[0.0, 0.5, 1.0]]), torch.tensor([0.0, 0.5, 0.9])
    )
    assert found.isnan().tolist() == [[False, False, True]]


def test_equal_steps_leave_the_usual_area():
    curves = torch.rand(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    places = torch.linspace(0, 1, 6, dtype=torch.float64).expand(3, -1)
    torch.testing.assert_close(area_over(curves, places), area_under_curve(curves))
    other = curves.flip(1).clone()
    other[:, [0, -1]] = curves[:, [0, -1]]
    gain = relevance_gain(curves, other, places, places)
    torch.testing.assert_close(gain, area_under_curve(curves) - area_under_curve(other))


def test_ends_of_unequal_weight_count():
    lif, mif = torch.tensor([[1.0, 0.9, 0.2]]), torch.tensor([[1.0, 0.1, 0.2]])
    more, less = torch.tensor([[0.0, 0.25, 1.0]]), torch.tensor([[0.0, 0.75, 1.0]])
    found = relevance_gain(lif, mif, more, less)
    torch.testing.assert_close(found, area_over(lif, more) - area_over(mif, less))
    lif[:, -1] = mif[:, -1] = torch.nan
    assert relevance_gain(lif, mif, more, less).isnan()
    assert relevance_gain(lif, mif, more, more).isfinite()


def test_what_is_gone_is_counted_by_the_size_of_cells():
    places, shares = torch.tensor([[2, 0, 1]]), torch.tensor([[0.5, 0.2, 0.3]])
    gone = shares_removed(places, shares, torch.tensor([[0, 1, 2, 3]]))
    torch.testing.assert_close(gone, torch.tensor([[0.0, 0.2, 0.5, 1.0]]))
