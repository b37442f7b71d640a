import pytest
import torch
from torch import nn

from lit_coiba.attribution import NIB
from lit_coiba.core.errors import InputError
from tests._testers import cams, tiny
from tests._testers.methods import CopiesTester


class TestNIB(CopiesTester):
    method = NIB
    arguments = {"steps": 4}  # noqa: RUF012
    evaluations = (4, 4)


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_with_a_linear_network_above_it_is_activation_times_weight_whatever_the_steps(steps):
    model, images = cams.averaging(), cams.images()
    features, weights = cams.features_and_weights(model, images)
    expected = torch.einsum("c,bchw->bhw", weights[1], features) / cams.SIZE**2
    found = NIB(cams.LAYER, steps).attribute(model, images, 1)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-14)
    assert torch.equal(NIB(cams.LAYER, steps, relu=True).attribute(model, images, 1), found.relu())


def test_it_is_the_right_riemann_sum_along_the_path_from_zero():
    model = tiny.vit().double()
    images, layer = tiny.images(2, (32, 32)).double(), "blocks.3"
    seen = {}
    handle = model.model.blocks[3].register_forward_hook(lambda module, args, output: seen.update(hidden=output))
    model(images)
    handle.remove()
    hidden, tail = seen["hidden"].detach(), nn.Sequential(*model.model.blocks[4:], model.model.norm)
    expected = torch.zeros_like(hidden)
    for step in range(1, 8):
        point = (hidden * step / 7).requires_grad_(True)
        model.model.head(tail(point)[:, 0])[:, 1].sum().backward()
        expected += hidden * point.grad / 7
    expected = expected.sum(-1)[:, 1:].unflatten(1, (4, 4))
    assert NIB(steps=7).explain(model, images, 1).maps.shape == (2, 4, 4)
    torch.testing.assert_close(NIB(layer, 7).attribute(model, images, 1), expected, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(NIB(None, 7).attribute(model, images, 1), expected, rtol=1e-9, atol=1e-11)


def test_a_path_without_points_is_refused():
    with pytest.raises(InputError, match="steps is 0: give a whole number, 1 or more"):
        NIB(steps=0)


@pytest.mark.parametrize("build", [tiny.resnet, tiny.vit])
def test_low_precision_gives_nearly_the_same_map(build):
    images = tiny.images(2, build().preprocessing.size)
    fine = NIB().attribute(build(), images, 1)
    low = NIB().attribute(build().bfloat16(), images.bfloat16(), 1)
    assert low.dtype == torch.float32
    assert (nn.functional.cosine_similarity(fine.flatten(1), low.flatten(1)) > 0.99).all()


def test_low_precision_ends_at_the_network():
    """With a linear network above the layer nothing is rounded but what the network computes itself."""
    model, images = cams.averaging(torch.bfloat16), cams.images(dtype=torch.bfloat16)
    hidden, _ = cams.features_and_weights(model, images)
    hidden.requires_grad_(True)
    model.model[1:](hidden)[:, 1].sum().backward()
    expected = (hidden.detach().float() * hidden.grad.float()).sum(1)
    points = []
    model.model[1].register_forward_pre_hook(lambda module, args: points.append(args[0].detach()))
    torch.testing.assert_close(NIB(cams.LAYER, 7).attribute(model, images, 1), expected, rtol=1e-5, atol=1e-7)
    shares = torch.arange(1, 8).view(-1, 1, 1, 1, 1) / 7
    assert torch.equal(points[-1], (shares * hidden.detach().float()).flatten(0, 1).bfloat16())  # rounded once
