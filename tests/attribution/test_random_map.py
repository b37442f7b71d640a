import pytest
import torch
from scipy.stats import chisquare, kstest

from lit_coiba.attribution import RandomMap
from lit_coiba.core.errors import InputError
from tests._testers.analytic import Analytic
from tests._testers.methods import MethodTester

IMAGES = torch.zeros(2, 3, 8, 8)
MODEL = Analytic()  # which cannot be run


class TestRandomMap(MethodTester):
    method = RandomMap
    arguments = {"grid_size": 5}  # noqa: RUF012
    class_dependent = False
    follows_precision = False


def test_numbers_are_uniform():
    map = RandomMap(grid_size=100).attribute(MODEL, IMAGES)[0]
    assert kstest(map.flatten().numpy(), "uniform").pvalue > 0.01


def test_every_image_has_its_own_map_whoever_is_beside_it_and_the_seed_decides_which():
    images = torch.rand(3, 3, 8, 8)
    maps = RandomMap(3).attribute(MODEL, images)
    assert torch.equal(RandomMap(3).attribute(MODEL, images.flip(0)).flip(0), maps)
    assert len({tuple(map.flatten().tolist()) for map in maps}) == 3
    assert not torch.equal(RandomMap(3, seed=1).attribute(MODEL, images)[0], maps[0])


def test_the_maximum_may_be_anywhere():
    places = RandomMap(2).attribute(MODEL, torch.rand(400, 3, 8, 8)).flatten(1).argmax(1).bincount(minlength=4)
    assert chisquare(places.numpy()).pvalue > 0.01


@pytest.mark.parametrize("per_image", [True, False])
def test_maps_do_not_share_memory(per_image):
    maps = RandomMap(3, per_image=per_image).attribute(MODEL, IMAGES)
    assert torch.equal(maps[0], maps[1])  # the same image twice
    maps[0] = 0
    assert (maps[1] > 0).all()


def test_one_map_for_all():
    first, second = RandomMap(3, per_image=False).attribute(MODEL, torch.rand(2, 3, 8, 8))
    assert torch.equal(first, second)


def test_a_grid_without_cells_is_refused():
    with pytest.raises(InputError, match="grid_size is 0: give a whole number"):
        RandomMap(grid_size=0)
