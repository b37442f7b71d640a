"""Sets of parts against loops over combinations."""

from itertools import combinations

import torch

from lit_coiba.data.synthetic import class_table, shared_pairs
from lit_coiba.data.synthetic.classes import PARTS
from lit_coiba.functional.part_sets import disjoint_sharers, minimal_sufficient_sets, part_subsets, subset_number

TABLE = torch.tensor(class_table())


def minimal_by_combinations(label):
    """The sets of parts whose variants no other class has, without those that contain another one."""
    found = []
    for size in range(1, 6):
        for chosen in combinations(range(5), size):
            others = (row for k, row in enumerate(class_table()) if k != label)
            alone = not any(all(row[p] == class_table()[label][p] for p in chosen) for row in others)
            if alone and not any(set(smaller) <= set(chosen) for smaller in found):
                found.append(chosen)
    return {sum(1 << part for part in chosen) for chosen in found}


def test_numbers_and_sets_are_each_other():
    assert torch.equal(subset_number(part_subsets(5)), torch.arange(32))
    assert part_subsets(5)[0b10010].tolist() == [False, True, False, False, True]


def test_minimal_sufficient_sets_are_those_of_a_loop():
    found = minimal_sufficient_sets(TABLE)
    for label in range(20):
        assert set(found[label].nonzero().flatten().tolist()) == minimal_by_combinations(label)


def test_a_class_like_another_has_no_sufficient_set():
    found = minimal_sufficient_sets(torch.tensor([[0, 1], [0, 1], [2, 2]]))
    assert found.any(1).tolist() == [False, False, True]


def test_every_class_of_synthetic_parts_has_two_that_share_different_pairs_with_it():
    """Target sensitivity needs them; they are the first of `shared_pairs`."""
    found = disjoint_sharers(TABLE)
    assert (found >= 0).all()
    for label, both in enumerate(found.tolist()):
        pairs = [(pair.first, pair.second) for pair in shared_pairs(label)]
        assert tuple(both) == min(pairs)
        first, second = ({p for p in range(len(PARTS)) if TABLE[label, p] == TABLE[k, p]} for k in both)
        assert len(first) == len(second) == 2
        assert not first & second


def test_a_class_without_two_such_classes_has_none():
    assert disjoint_sharers(torch.tensor([[0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 0, 1]]))[0].tolist() == [-1, -1]
