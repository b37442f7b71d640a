import torch

from lit_coiba.attribution import LayerCAM
from tests._testers import cams, tiny
from tests._testers.methods import MethodTester


class TestLayerCAM(MethodTester):
    method = LayerCAM
    arguments = {"layer": None}  # noqa: RUF012
    evaluations = (1, 1)


def test_on_a_network_that_ends_in_averages_only_channels_with_positive_weights_count():
    model, images = cams.averaging(), cams.images()
    features, weights = cams.features_and_weights(model, images)
    for target in range(3):
        expected = torch.einsum("c,bchw->bhw", weights[target].relu(), features) / cams.SIZE**2
        found = LayerCAM(layer=cams.LAYER).attribute(model, images, target)
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-12)


def test_it_is_that_of_pytorch_grad_cam_before_that_scales_it():
    model = tiny.resnet()
    images = tiny.images(2, model.preprocessing.size)
    for layer in ("layer2.1", "layer4"):
        peer = cams.peer_map("LayerCAM", model.model, model.model.get_submodule(layer), images, 1).relu()
        ours = LayerCAM(layer=layer).attribute(model, images, 1)
        torch.testing.assert_close(ours, peer, rtol=1e-4, atol=1e-6)
        assert ours.std() > 1e-4
