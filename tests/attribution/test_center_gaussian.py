import math

import pytest
import torch

from lit_coiba.attribution import CenterGaussian
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from tests._testers.analytic import Analytic
from tests._testers.methods import MethodTester


class Wide(Analytic):
    preprocessing = Preprocessing(size=(3, 5))


MODEL = Wide()  # which cannot be run


class TestCenterGaussian(MethodTester):
    method = CenterGaussian
    class_dependent = False
    evaluations = (0, 0)


def test_values_are_those_of_the_formula_on_a_picture_that_is_not_square():
    map = CenterGaussian(0.5).attribute(MODEL, torch.rand(1, 3, 3, 5))[0]
    assert map[1, 2] == 1
    assert map[0, 2].item() == pytest.approx(math.exp(-0.5 * (1 / 3 / 0.5) ** 2))
    assert map[0, 0].item() == pytest.approx(math.exp(-0.5 * ((1 / 3 / 0.5) ** 2 + (2 / 5 / 0.5) ** 2)))
    assert torch.equal(map, map.flip((0, 1)))


def test_maps_do_not_share_memory():
    maps = CenterGaussian().attribute(MODEL, torch.rand(2, 3, 3, 5))
    assert torch.equal(maps[0], maps[1])
    maps[0] = 0
    assert (maps[1] > 0).all()


@pytest.mark.parametrize("sigma", [0.0, -1.0])
def test_a_width_that_is_none_is_refused(sigma):
    with pytest.raises(InputError, match=r"sigma is .*: give a number above 0"):
        CenterGaussian(sigma)
