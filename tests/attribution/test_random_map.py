import pytest
import torch
from scipy.stats import kstest

from lit_coiba.attribution import RandomMap
from lit_coiba.contracts import InputError
from tests._testers.methods import MethodTester

IMAGES = torch.zeros(2, 3, 8, 8)


class TestRandomMap(MethodTester):
    method = RandomMap
    arguments = {"cells": 5}  # noqa: RUF012
    class_dependent = False
    runs_model = False
    follows_precision = False


def test_numbers_are_uniform():
    map = RandomMap(cells=100).attribute(None, IMAGES)[0]
    assert kstest(map.flatten().numpy(), "uniform").pvalue > 0.01


def test_all_images_have_one_map_and_the_seed_decides_which():
    first, second = RandomMap(3).attribute(None, IMAGES)
    assert torch.equal(first, second)
    assert not torch.equal(RandomMap(3, seed=1).attribute(None, IMAGES)[0], first)


def test_maps_do_not_share_memory():
    maps = RandomMap(3).attribute(None, IMAGES)
    maps[0] = 0
    assert (maps[1] > 0).all()


def test_a_grid_without_cells_is_refused():
    with pytest.raises(InputError, match="cells must be at least 1, not 0"):
        RandomMap(cells=0)
