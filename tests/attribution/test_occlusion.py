from typing import ClassVar

import pytest
import torch
from captum.attr import Occlusion as CaptumOcclusion

from lit_coiba.attribution import Occlusion
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from tests._testers import tiny
from tests._testers.methods import CopiesTester
from tests._testers.model_state import assert_near
from tests._testers.perturbation import class_scores


class Linear(torch.nn.Module):
    """Two classes, sums of weighted pixels."""

    num_classes = 2

    def __init__(self, height, width):
        super().__init__()
        self.preprocessing = Preprocessing((height, width))
        generator = torch.Generator().manual_seed(0)
        self.weights = torch.randn(2, 3, height, width, generator=generator, dtype=torch.float64)

    def forward(self, images):
        return torch.einsum("bcyx,kcyx->bk", images, self.weights)


class TestOcclusion(CopiesTester):
    method = Occlusion
    arguments: ClassVar = {"window": 16}

    def test_it_costs_a_forward_for_each_window_and_one(self, model):
        model_images, targets = self.inputs(model, 2)
        calls = []
        handle = model.register_forward_hook(lambda module, args, output: calls.append(len(output)))
        maps = self.build(model).explain(model, model_images, targets).maps
        handle.remove()
        assert sum(calls) == 2 * (1 + maps[0].numel())

    def test_a_window_has_the_fall_of_the_score(self, model):
        model = model.double()
        images, targets = self.inputs(model, 2)
        maps = self.build(model, output="prob").explain(model, images, targets).maps
        whole = class_scores(model(images), targets, "prob")
        for row, column in ((0, 0), (1, 0), (1, 1)):
            hidden = images.clone()
            hidden[..., 16 * row : 16 * row + 16, 16 * column : 16 * column + 16] = 0
            expected = whole - class_scores(model(hidden), targets, "prob")
            assert_near(maps[:, row, column], expected.detach(), 1e-9)

    def test_windows_that_overlap_are_averaged_as_captum_does(self, model):
        model = model.double()
        images, targets = self.inputs(model, 2)
        maps = self.build(model, stride=12).explain(model, images, targets).maps
        expected = CaptumOcclusion(model).attribute(images, (3, 16, 16), (3, 12, 12), target=targets)
        assert maps.shape == images[:, 0].shape
        assert_near(maps, expected[:, 0].double(), 1e-6)  # Captum's are in single precision

    def test_windows_that_overlap_can_be_summed(self, model):
        model = model.double()
        images, targets = self.inputs(model, 2)
        method, size = self.build(model, stride=12, overlap="sum"), images.shape[-1]
        expected = torch.zeros_like(images[:, 0])
        with torch.no_grad():
            whole = class_scores(model(images), targets)
            for top in range(0, size - 4, 12):
                for left in range(0, size - 4, 12):
                    hidden = images.clone()
                    hidden[..., top : top + 16, left : left + 16] = 0
                    fall = whole - class_scores(model(hidden), targets)
                    expected[:, top : top + 16, left : left + 16] += fall[:, None, None]
        assert_near(method.explain(model, images, targets).maps, expected, 1e-9)

    def test_a_window_may_show_something_else(self, model):
        images, targets = self.inputs(model, 2)
        maps = [self.build(model, baseline=b).explain(model, images, targets).maps for b in ("zero", "mean", "blur")]
        assert not torch.allclose(maps[0], maps[1])
        assert not torch.allclose(maps[0], maps[2])


@pytest.mark.parametrize(("height", "width", "window"), [(16, 16, 4), (10, 13, 4), (9, 12, 3)])
def test_t1_a_linear_model_has_sums_over_blocks(height, width, window):
    model, images = Linear(height, width), tiny.images(2, (8 * height, 8 * width))[..., ::8, ::8].double()
    targets = torch.tensor([0, 1])
    maps = Occlusion(window=window).explain_cells(model, images, targets).maps
    product = (images * model.weights[targets]).sum(1)
    rows, columns = -(-height // window), -(-width // window)
    assert maps.shape == (2, rows, columns)
    for row in range(rows):
        for column in range(columns):
            block = product[:, row * window : (row + 1) * window, column * window : (column + 1) * window]
            torch.testing.assert_close(maps[:, row, column], block.sum((1, 2)))
    torch.testing.assert_close(maps.sum((1, 2)), product.sum((1, 2)))


def test_the_window_is_an_eighth_of_the_image():
    assert Occlusion().explain(Linear(16, 24), torch.randn(1, 3, 16, 24).double(), 0).maps.shape == (1, 8, 12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window": 0}, "window is 0"),
        ({"window": 4, "stride": 5}, "stride is 5: give at most the window, 4"),
        ({"stride": 5}, "stride is 5: give at most the window, 2"),
        ({"window": 17}, "window is 17, larger than the image: give at most 16"),
        ({"baseline": "pink"}, "baseline is 'pink'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Occlusion(**arguments).explain(Linear(16, 16), torch.randn(1, 3, 16, 16).double(), 0)
