"""Accumulators over channels: a stream gives what all at once gives, and both what a slow count gives."""

import math

import numpy as np
import pytest
import torch

from lit_coiba.functional import channel_purity, channel_rv, rv_coefficient
from lit_coiba.metrics.prototypes.activation_sparsity import ActivationSparsity
from lit_coiba.metrics.prototypes.channel_correlation import ChannelCorrelation
from lit_coiba.metrics.prototypes.explanation_size import ExplanationSize
from lit_coiba.metrics.prototypes.strongest_purity import StrongestPurity


def maps(count=11, seed=0, channels=4):
    return torch.randn(count, channels, 3, 5, generator=torch.Generator().manual_seed(seed))


def streamed(metric, values, size=4):
    for start in range(0, len(values), size):
        metric.update(values[start : start + size])
    return metric


class TestCorrelation:
    def test_a_stream_gives_what_all_rows_give(self):
        values = maps(40).mean((-2, -1)) + 3
        values[:, 2] = 1.5
        metric = streamed(ChannelCorrelation(4), values)
        assert metric.compute().item() == pytest.approx(channel_rv(values).mean.item(), rel=1e-9)
        assert metric.result().constant == 1

    def test_each_position_of_a_map_is_a_row(self):
        metric, rows = streamed(ChannelCorrelation(4), maps()), maps().movedim(1, -1).reshape(-1, 4)
        pairs = [rv_coefficient(rows[:, [i]], rows[:, [j]]).item() for i in range(4) for j in range(i)]
        assert metric.rows == 11 * 15
        assert metric.compute().item() == pytest.approx(np.mean(pairs), rel=1e-9)

    def test_large_offsets_cost_no_digits(self):
        values = maps(200).mean((-2, -1)).double()
        shifted = streamed(ChannelCorrelation(4), values + 1000).compute()
        assert shifted.item() == pytest.approx(channel_rv(values).mean.item(), rel=1e-5)


class TestStrongestPurity:
    @pytest.mark.parametrize("images", [1, 3, 50])
    def test_is_over_the_images_with_the_largest_sums(self, images):
        values = maps()
        expected = []
        for c in range(4):
            order = sorted(range(11), key=lambda b: -float(values[b, c].double().sum()))[:images]
            purities = []
            for b in order:
                place = values[b, c].flatten().argmax()
                pixel = values[b].flatten(1)[:, place].double()
                purities.append((pixel[c] / pixel.norm()).item())
            expected.append(np.mean(purities))
        metric = streamed(StrongestPurity(4, images), values, size=2)
        assert metric.channels().tolist() == pytest.approx(expected, rel=1e-5)
        assert metric.compute().item() == pytest.approx(np.mean(expected), rel=1e-5)

    def test_axes_opposites_and_nothing(self):
        values = torch.zeros(3, 3, 1, 1)
        values[0, 0] = 2.0  # on the axis of channel 0
        values[1, 1] = -2.0  # opposite to that of channel 1
        assert channel_purity(values).diagonal().tolist() == [1, -1, 0]
        only = StrongestPurity(3, 1)
        only.update(values[:1])
        assert only.channels().tolist() == [1, 0, 0]

    @pytest.mark.filterwarnings("ignore:The ``compute`` method")
    def test_no_image_no_purity(self):
        assert StrongestPurity(3).compute().isnan()

    def test_parts_of_a_stream_can_be_put_together(self):
        """What processes gather: the states of each, stacked."""
        values, whole = maps(), streamed(StrongestPurity(4, 3), maps())
        first, second = streamed(StrongestPurity(4, 3), values[:6]), streamed(StrongestPurity(4, 3), values[6:])
        first.scores = torch.stack([first.scores, second.scores])
        first.purities = torch.stack([first.purities, second.purities])
        assert first.compute() == whole.compute()


class TestExplanationSize:
    def test_three_numbers(self):
        weights = torch.tensor([[1.0, 0.2, 0.0, 0.3], [0.0, 0.0, 0.0, 4.0], [-2.0, 0.0, 0.0, 0.5]])
        size = ExplanationSize(weights, 4)  # exactly 0.2 of the largest is not above
        size.update(torch.tensor([[5.0, 1.0, -1.1, 0.0]]))
        size.update(torch.tensor([[0.0, 0.0, -3.0, 0.1], [1.0, 1.0, 1.0, -1.0]]))
        found = size.sizes()
        assert found.everywhere == 2
        assert found.per_class == pytest.approx((2 + 1 + 2) / 3)
        assert found.per_image == pytest.approx((2 + 1 + 4) / 3)

    @pytest.mark.filterwarnings("ignore:The ``compute`` method")
    def test_without_weights_every_class_uses_every_unit(self):
        found = ExplanationSize(None, 3).sizes()
        assert (found.everywhere, found.per_class, math.isnan(found.per_image)) == (3, 3, True)

    def test_a_lower_threshold_makes_it_longer(self):
        contributions = torch.randn(50, 30, generator=torch.Generator().manual_seed(0))
        counts = []
        for threshold in (0.0, 0.1, 0.5):
            size = ExplanationSize(None, 30, threshold)
            size.update(contributions)
            counts.append(size.compute().item())
        assert counts[0] == 30
        assert counts == sorted(counts, reverse=True)

    def test_what_contributes_nothing_needs_no_unit(self):
        size = ExplanationSize(None, 3)
        size.update(torch.zeros(2, 3))
        assert size.compute() == 0


class TestSparsity:
    def test_histogram_is_that_of_a_slow_count(self):
        values = maps(20).pow(5)
        metric = streamed(ActivationSparsity(bins=7), values)
        shares = []
        for map in values.flatten(0, 1):
            absolute = map.abs().flatten().tolist()
            shares.append(sum(value > 0.1 * max(absolute) for value in absolute) / 15)
        expected = [sum(k / 7 + 1e-9 < share <= (k + 1) / 7 + 1e-9 for share in shares) for k in range(7)]
        assert metric.histogram.tolist() == expected
        assert metric.compute().item() == pytest.approx(np.mean(shares))
        assert metric.dead == 0

    def test_dead_channels_are_counted_apart(self):
        values = maps(5)
        values[:, 1] = 0
        metric = streamed(ActivationSparsity(), values)
        assert (metric.dead, metric.histogram.sum()) == (5, 15)

    def test_a_lone_peak_lies_in_the_first_bin_and_a_flat_map_in_the_last(self):
        values = torch.zeros(1, 2, 10, 10)
        values[0, 0, 3, 4] = -5.0
        values[0, 1] = 1.0
        metric = streamed(ActivationSparsity(), values)
        assert (metric.histogram[0], metric.histogram[-1]) == (1, 1)
        assert metric.compute().item() == pytest.approx((0.01 + 1) / 2)
