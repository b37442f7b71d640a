from itertools import combinations

import pytest
import torch

from lit_coiba.core.errors import InputError
from lit_coiba.data.synthetic.classes import (
    PARTS,
    VARIANTS,
    class_table,
    compatible_classes,
    matching_classes,
    present_parts,
    shared_pairs,
    soft_targets,
)


def fitting(seen: dict[int, int]) -> set[int]:
    """Oracle: the classes that wear these variants, looked up one by one."""
    return {k for k, row in enumerate(class_table()) if all(row[part] == variant for part, variant in seen.items())}


class TestClassTable:
    def test_there_are_twenty_combinations_of_four_variants(self):
        assert len(class_table()) == len(set(class_table())) == 20
        assert all(len(row) == 5 and set(row) <= set(range(VARIANTS)) for row in class_table())

    def test_every_two_classes_differ_in_two_parts_at_least(self):
        for first, second in combinations(class_table(), 2):
            assert sum(a != b for a, b in zip(first, second)) >= 2

    def test_every_variant_is_worn_by_some_classes_and_not_by_most(self):
        for part in range(5):
            for variant in range(VARIANTS):
                assert 3 <= sum(row[part] == variant for row in class_table()) <= 7


class TestSharedPairs:
    @pytest.mark.parametrize("label", range(20))
    def test_every_class_shares_exactly_two_disjoint_pairs_with_two_others(self, label):
        table = class_table()
        found = shared_pairs(label)
        assert found
        for pair in found:
            assert len({label, pair.first, pair.second}) == 3
            assert not set(pair.first_parts) & set(pair.second_parts)
            for other, parts in ((pair.first, pair.first_parts), (pair.second, pair.second_parts)):
                assert {PARTS[p] for p in range(5) if table[label][p] == table[other][p]} == set(parts)

    @pytest.mark.parametrize("label", [-1, 20])
    def test_an_unknown_class_is_refused(self, label):
        with pytest.raises(InputError, match=r"classes 0 to 19"):
            shared_pairs(label)


class TestCompatibleClasses:
    def test_every_subset_of_every_class_agrees_with_a_look_up(self):
        for label, row in enumerate(class_table()):
            for bits in range(32):
                present = torch.tensor([bool(bits >> part & 1) for part in range(5)])
                fits = compatible_classes(present, label)
                expected = fitting({part: row[part] for part in range(5) if present[part]})
                assert set(fits.nonzero().flatten().tolist()) == expected
                targets = soft_targets(fits)
                assert targets.sum().item() == pytest.approx(1)
                assert targets[label].item() == pytest.approx(1 / len(expected))
                assert set(targets.nonzero().flatten().tolist()) == expected

    def test_one_missing_part_leaves_one_class(self):
        present = ~torch.eye(5, dtype=torch.bool)
        for label in range(20):
            assert compatible_classes(present, label).sum(-1).tolist() == [1] * 5

    def test_a_batch_is_its_rows(self):
        generator = torch.Generator().manual_seed(0)
        present, labels = torch.rand(50, 5, generator=generator) < 0.5, torch.randint(20, (50,), generator=generator)
        rows = torch.stack([compatible_classes(p, int(k)) for p, k in zip(present, labels)])
        assert torch.equal(compatible_classes(present, labels), rows)

    def test_one_swapped_part_makes_no_class(self):
        for row in class_table():
            for part in range(5):
                for variant in set(range(VARIANTS)) - {row[part]}:
                    swapped = torch.tensor(row)
                    swapped[part] = variant
                    assert not matching_classes(swapped).any()


class TestPresentParts:
    def test_named_parts_are_missing(self):
        assert present_parts(["beak", "wing"]).tolist() == [False, True, True, True, False]

    def test_an_unknown_part_is_refused(self):
        with pytest.raises(InputError, match=r"Part 'nose' does not exist.*beak, eye, foot, tail, wing"):
            present_parts(["nose"])
