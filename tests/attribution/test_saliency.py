import pytest
import torch

from lit_coiba.attribution import Saliency
from lit_coiba.core.errors import InputError
from tests._testers import tiny
from tests._testers.methods import StateTester


class TestSaliency(StateTester):
    method = Saliency
    evaluations = (1, 1)

    def test_it_is_the_largest_gradient_of_a_colour(self, model):
        model = model.double()
        images, targets = self.inputs(model)
        step = 1e-6
        maps = Saliency().explain(model, images, targets).maps
        for row, column in ((0, 0), (5, 17), (31, 30)):
            slopes = []
            for colour in range(3):
                shift = torch.zeros_like(images)
                shift[:, colour, row, column] = step
                with torch.no_grad():
                    rise = model(images + shift) - model(images - shift)
                slopes.append(rise.gather(1, targets[:, None])[:, 0].abs() / (2 * step))
            torch.testing.assert_close(maps[:, row, column], torch.stack(slopes).amax(0), rtol=1e-5, atol=1e-9)

    def test_colours_are_reduced_as_asked(self, model):
        model = model.double()
        images, targets = self.inputs(model)
        pixels = images.clone().requires_grad_()
        (slopes,) = torch.autograd.grad(model(pixels).gather(1, targets[:, None]).sum(), pixels)
        red, green, blue = slopes.unbind(1)
        expected = {
            "sum": red + green + blue,
            "mean": (red + green + blue) / 3,
            "abs_mean": (red.abs() + green.abs() + blue.abs()) / 3,
            "abs_max": red.abs().maximum(green.abs()).maximum(blue.abs()),
        }
        for reduce, maps in expected.items():
            torch.testing.assert_close(Saliency(reduce).attribute(model, images, targets), maps)
        default, named = (one.attribute(model, images, targets) for one in (Saliency(), Saliency("abs_max")))
        assert torch.equal(default, named)


def test_low_precision_images_have_single_precision_maps():
    model = tiny.resnet().bfloat16()
    images = tiny.images(1, (64, 64)).bfloat16()
    assert Saliency().attribute(model, images).dtype == torch.float32


def test_another_way_to_reduce_is_refused():
    with pytest.raises(InputError, match="reduce is 'max': choose sum, mean, abs_max, abs_mean"):
        Saliency("max")
