"""What class activation maps target, family by family."""

import pytest
import torch
import torchvision

from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from tests._testers import tiny


@pytest.mark.parametrize(
    ("build", "layer"),
    [
        (tiny.vit, "blocks.5.norm1"),
        (tiny.vit_with_registers, "blocks.2.norm1"),
        (tiny.swin, "norm"),
        (tiny.resnet, "layer3"),  # layer4 has 2 x 2 cells
    ],
)
def test_it_is_the_last_layer_where_places_count_and_can_be_seen(build, layer):
    model = build()
    assert model.cam_layer() == layer
    path = model.split([layer])
    state = path.lower(tiny.images(1, model.preprocessing.size))
    activation = state.activation.clone().requires_grad_(True)
    gradient = torch.autograd.grad(path.upper(state, lambda _, __: activation)[0, 1], activation)[0]
    assert (path.grids[0].to_spatial(gradient).abs().sum(1) > 0).all()  # no place is without influence


def test_of_a_wrapped_transformer_it_is_the_norm_that_begins_the_last_block():
    net = torchvision.models.VisionTransformer(32, 8, 3, 2, 16, 32, num_classes=4)
    torch.nn.init.normal_(net.heads.head.weight)
    assert Backbone.wrap(net.eval(), image_size=32).cam_layer() == "encoder.layers.encoder_layer_2.ln_1"


def test_a_model_without_places_is_refused():
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64, 4))
    with pytest.raises(InputError, match="no layer with a spatial grid"):
        Backbone.wrap(flat, image_size=8).cam_layer()
