import pytest
import torch

from lit_coiba.attribution import GradCAM
from lit_coiba.core.errors import InputError
from tests._testers import cams, tiny
from tests._testers.methods import StateTester


class TestGradCAM(StateTester):
    method = GradCAM
    arguments = {"relu": False}  # noqa: RUF012 - of random weights the map may be negative everywhere
    evaluations = (1, 1)


def test_on_a_network_that_ends_in_averages_it_is_the_class_activation_map():
    model, images = cams.averaging(), cams.images()
    features, weights = cams.features_and_weights(model, images)
    for target in range(3):
        expected = torch.einsum("c,bchw->bhw", weights[target], features).relu() / cams.SIZE**2
        found = GradCAM(layer=cams.LAYER).attribute(model, images, target)
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-12)
        assert expected.std() > 1e-5


@pytest.mark.parametrize("build", [tiny.resnet, tiny.vit])
def test_it_is_that_of_pytorch_grad_cam_before_that_scales_it(build):
    model = build()
    images, layer = tiny.images(2, model.preprocessing.size), model.cam_layer()
    if build is tiny.vit:
        pytest.importorskip("pytorch_grad_cam")
        from pytorch_grad_cam import GradCAM as Peer
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        def places(tokens):
            return tokens[:, 1:].reshape(-1, 4, 4, 32).permute(0, 3, 1, 2)

        with Peer(model=model.model, target_layers=[model.model.blocks[-1].norm1], reshape_transform=places) as cam:
            peer = torch.from_numpy(cam(images, [ClassifierOutputTarget(1)] * 2))
        ours = GradCAM(relu=True).attribute(model, images, 1)
        enlarged = scaled(torch.nn.functional.interpolate(scaled(ours)[:, None], size=(32, 32), mode="bilinear")[:, 0])
        assert (peer - enlarged).abs().max() < 1e-3  # its resize is OpenCV's
        return
    peer = cams.peer_map("GradCAM", model.model, model.model.get_submodule(layer), images, 1)
    ours = GradCAM(relu=False).attribute(model, images, 1)
    torch.testing.assert_close(ours, peer, rtol=1e-4, atol=1e-6)


def scaled(maps):
    """What pytorch-grad-cam does to each map, before and after it is enlarged."""
    maps = maps - maps.amin((1, 2), keepdim=True)
    return maps / (1e-7 + maps.amax((1, 2), keepdim=True))


def test_of_a_probability_it_has_the_sign_of_the_logit_against_the_others():
    model, images = cams.averaging(), cams.images()
    logit, probability = (
        GradCAM(cams.LAYER, False, output).attribute(model, images, 0) for output in ("logit", "prob")
    )
    assert not torch.allclose(logit, probability)
    with pytest.raises(InputError, match="output is 'score': choose logit, prob"):
        GradCAM(output="score")


def test_a_layer_without_places_is_refused():
    with pytest.raises(InputError, match="has no spatial grid"):
        GradCAM(layer="2").attribute(cams.averaging(), cams.images())
