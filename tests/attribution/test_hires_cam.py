import torch

from lit_coiba.attribution import GradCAM, HiResCAM
from tests._testers import cams, tiny
from tests._testers.methods import MethodTester


class TestHiResCAM(MethodTester):
    method = HiResCAM
    arguments = {"relu": False}  # noqa: RUF012
    evaluations = (1, 1)


def test_on_a_network_that_ends_in_averages_it_is_grad_cam_and_sums_to_the_logit():
    model, images = cams.averaging(), cams.images()
    expected = GradCAM(layer=cams.LAYER).attribute(model, images, 2)
    torch.testing.assert_close(HiResCAM(cams.LAYER).attribute(model, images, 2), expected, rtol=1e-6, atol=1e-12)
    sums = HiResCAM(cams.LAYER, relu=False).attribute(model, images, 2).sum((1, 2))
    with torch.no_grad():
        torch.testing.assert_close(sums, model(images)[:, 2] - model.model[3].bias[2])


def test_it_is_that_of_pytorch_grad_cam_before_that_scales_it():
    model = tiny.resnet()
    images = tiny.images(2, model.preprocessing.size)
    peer = cams.peer_map("HiResCAM", model.model, model.model.layer2[1], images, 1)
    ours = HiResCAM(layer="layer2.1", relu=False).attribute(model, images, 1)
    torch.testing.assert_close(ours, peer, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(ours, GradCAM(layer="layer2.1", relu=False).attribute(model, images, 1), rtol=0.1)
