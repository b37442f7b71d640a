"""The strongest samples of each unit, against sorting everything."""

from importlib import import_module
from itertools import pairwise

import pytest
import torch

from lit_coiba.functional import Strongest, duplicates, merge_strongest, strongest

module = import_module("lit_coiba.functional.strongest")  # the package has a function of that name


def brute(maps, count, score, side):
    """Lists of (strength, sample, cell) for each unit, by Python's own sort."""
    found = []
    for unit in range(maps.shape[1]):
        rows = []
        for sample, map in enumerate(maps[:, unit].flatten(1).tolist()):
            values = [side * value for value in map]
            strength = max(values) if score == "max" else sum(values)
            rows.append((strength, sample, values.index(max(values))))
        found.append(sorted(rows, key=lambda row: (-row[0], row[1]))[:count])
    return found


def rows_of(found, side):
    lists = [values[side].tolist() for values in found]
    return [list(zip(*unit)) for unit in zip(*lists)]


@pytest.mark.parametrize("score", ["max", "sum"])
def test_whatever_the_blocks_it_is_the_sorted_list(score):
    maps = torch.randint(-9, 10, (23, 5, 3, 4), generator=torch.Generator().manual_seed(0)).float()  # many ties
    for sizes in ([23], [1] * 23, [4, 9, 10]):
        parts = [
            strongest(values, numbers, 6, score, sides=2)
            for values, numbers in zip(maps.split(sizes), torch.arange(23).split(sizes))
        ]
        found = parts[0]
        for part in parts[1:]:
            found = merge_strongest(found, part)
        assert rows_of(found, 0) == brute(maps, 6, score, 1)
        assert rows_of(found, 1) == brute(maps, 6, score, -1)


def test_memory_does_not_grow_and_missing_ones_are_marked():
    found = strongest(torch.rand(2, 3, 2, 2), torch.tensor([5, 9]), count=4)
    assert [tuple(values.shape) for values in found] == [(1, 3, 4)] * 3
    assert (found.samples[..., 2:] == -1).all()
    assert (found.strengths[..., 2:] == -torch.inf).all()
    again = merge_strongest(found, strongest(torch.rand(50, 3, 2, 2), torch.arange(50) + 10, count=4))
    assert tuple(again.samples.shape) == (1, 3, 4)
    assert (again.samples >= 0).all()


def test_samples_that_are_not_finite_are_left_out():
    maps = torch.rand(3, 2, 2, 2)
    maps[1, 0, 0, 0] = torch.nan
    maps[2, 1] = torch.inf
    found = strongest(maps, torch.arange(3), 3)
    assert [sorted(unit) for unit in found.samples[0].tolist()] == [[-1, 0, 2], [-1, 0, 1]]
    assert (found.cells[found.samples == -1] == -1).all()
    assert (found.strengths[found.samples == -1] == -torch.inf).all()


def test_half_precision_and_gradients_do_no_harm():
    maps = torch.rand(2, 3, 2, 2).bfloat16().requires_grad_()
    found = strongest(maps, torch.arange(2), 1)
    assert found.strengths.dtype == torch.float32
    assert not found.strengths.requires_grad


class TestTwins:
    def found(self, sets, strengths=None):
        cells = torch.tensor([sets])
        strengths = torch.ones(cells.shape) if strengths is None else torch.tensor([strengths])
        return Strongest(strengths, torch.zeros_like(cells), cells)

    def test_more_than_half_in_common(self):
        assert duplicates(self.found([[0, 1, 2, 3], [0, 1, 2, 9], [0, 1, 8, 7]])).tolist() == [[0, 1]]

    def test_dead_units_have_none(self):
        assert duplicates(self.found([[0, 1], [0, 1], [0, 1]], [[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]])).tolist() == [
            [0, 2]
        ]
        assert duplicates(self.found([[0], [0]], [[0.0], [0.0]])).tolist() == []

    def test_equals_sets_over_many_columns(self, monkeypatch):
        monkeypatch.setattr(module, "_COLUMNS", 7)
        generator = torch.Generator().manual_seed(1)
        cells = torch.stack([torch.randperm(12, generator=generator)[:5] for _ in range(30)])
        sets = [set(row) for row in cells.tolist()]
        slow = [[i, j] for i in range(30) for j in range(i + 1, 30) if len(sets[i] & sets[j]) > 2.5]
        assert len(slow) > 3
        found = duplicates(Strongest(torch.ones(1, 30, 5), torch.zeros(1, 30, 5, dtype=torch.int64), cells[None]))
        assert found.tolist() == slow

    def test_the_negative_side_counts_too_and_one_patch_is_no_proof(self):
        cells = torch.tensor([[[0, 1], [2, 3]], [[5, 6], [5, 6]]])
        assert duplicates(Strongest(torch.ones(2, 2, 2), torch.zeros_like(cells), cells)).tolist() == []  # half of them
        strengths = torch.tensor([[[0.0, 0.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]]])
        assert duplicates(Strongest(strengths, torch.zeros_like(cells), cells)).tolist() == [[0, 1]]
        assert duplicates(self.found([[0], [0]])).tolist() == []

    def test_another_sample_is_another_patch(self):
        found = Strongest(torch.ones(1, 2, 1), torch.tensor([[[0], [1]]]), torch.zeros(1, 2, 1, dtype=torch.int64))
        assert duplicates(found).tolist() == []


def test_strengths_descend():
    found = strongest(torch.randn(40, 4, 3, 3), torch.arange(40), 10, sides=2)
    for side in found.strengths.flatten(0, 1).tolist():
        assert all(a >= b for a, b in pairwise(side))
