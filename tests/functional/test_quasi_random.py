import numpy as np
import pytest
import torch
from scipy.stats.qmc import Sobol

from lit_coiba.functional import sobol_sequence
from lit_coiba.functional.quasi_random import MOST_DIMENSIONS


def test_without_a_seed_it_is_the_sequence_of_scipy():
    expected = Sobol(7, scramble=False).random_base2(6)
    np.testing.assert_array_equal(sobol_sequence(64, 7).numpy(), expected)
    np.testing.assert_array_equal(sobol_sequence(16, 7, skip=48).numpy(), expected[48:])


def test_a_scrambled_sequence_continues_where_points_are_skipped():
    whole = sobol_sequence(64, 5, seed=2)
    assert torch.equal(sobol_sequence(32, 5, seed=2, skip=32), whole[32:])
    assert not torch.equal(sobol_sequence(64, 5, seed=3), whole)
    assert not torch.equal(sobol_sequence(64, 5), whole)


@pytest.mark.parametrize("seed", [None, 0, 5])
def test_a_power_of_two_is_balanced(seed):
    points = sobol_sequence(64, 20, seed)
    assert ((points >= 0) & (points < 1)).all()
    counts = torch.stack([(points * 64).long()[:, d].bincount(minlength=64) for d in range(20)])
    assert (counts == 1).all()


def test_global_random_state_is_neither_read_nor_moved():
    torch.manual_seed(0)
    before, first = torch.get_rng_state(), sobol_sequence(8, 128, seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert torch.equal(sobol_sequence(8, 128, seed=4), first)


def test_points_do_not_depend_on_surroundings():
    expected, dtype = sobol_sequence(8, 3, seed=1), torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        with torch.device("meta"), torch.inference_mode():
            found = sobol_sequence(8, 3, seed=1)
    finally:
        torch.set_default_dtype(dtype)
    assert torch.equal(found, expected)


def test_one_point_and_many_dimensions():
    assert sobol_sequence(1, 3).tolist() == [[0, 0, 0]]
    assert MOST_DIMENSIONS == 21201
