import numpy as np
import pytest
import torch
from scipy import ndimage

from lit_coiba.attribution import EdgeDetector
from lit_coiba.core.errors import InputError
from lit_coiba.functional.edges import edge_strength, gray_levels
from tests._testers import tiny
from tests._testers.analytic import Analytic
from tests._testers.methods import MethodTester

MODEL = Analytic()  # which cannot be run


class TestEdgeDetector(MethodTester):
    method = EdgeDetector
    class_dependent = False
    evaluations = (0, 0)


class TestLaplace(TestEdgeDetector):
    arguments = {"operator": "laplace"}  # noqa: RUF012


def by_scipy(gray: np.ndarray, operator: str) -> np.ndarray:
    if operator == "laplace":
        return np.abs(ndimage.laplace(gray, mode="reflect"))
    return np.hypot(*(ndimage.sobel(gray, axis, mode="reflect") for axis in (0, 1)))


@pytest.mark.parametrize("operator", ["sobel", "laplace"])
@pytest.mark.parametrize("size", [(7, 5), (1, 4), (3, 1)])
def test_edges_are_those_of_scipy(operator, size):
    gray = torch.rand(2, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = np.stack([by_scipy(one.numpy(), operator) for one in gray])
    np.testing.assert_allclose(edge_strength(gray, operator).numpy(), expected, atol=1e-12)


def test_a_step_has_its_edge_where_it_is():
    images = torch.zeros(1, 3, 8, 8)
    images[..., 3:] = 1
    map = EdgeDetector().attribute(MODEL, images)[0]
    assert map.argmax(1).tolist() == [2] * 8
    assert (map > 0).any(0).tolist() == [False] * 2 + [True] * 2 + [False] * 4


def test_the_gray_level_is_that_of_the_picture_and_not_of_the_model_input():
    model = tiny.resnet()
    images = tiny.images(1, model.preprocessing.size)
    expected = edge_strength(gray_levels(model.preprocessing.denormalize(images)))
    assert torch.equal(EdgeDetector().attribute(model, images), expected)


def test_another_operator_is_refused():
    with pytest.raises(InputError, match="operator is 'canny': choose sobel, laplace"):
        EdgeDetector("canny")
