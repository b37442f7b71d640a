"""Networks over grids whose logits depend on one cell: what the gradient says, bit by bit."""

import pytest
import torch

from lit_coiba.attribution import RISE, GradCAM, InputXGradient, LayerCAM
from lit_coiba.backbones import Backbone
from lit_coiba.backbones.disconnected import cut_out, di_full, di_part
from lit_coiba.core.errors import InputError
from lit_coiba.metrics import GridPointing
from tests._testers import tiny
from tests._testers.metrics import uniform

CNNS = {
    "resnet": tiny.resnet,
    "efficientnet": lambda: Backbone("efficientnet_lite0", num_classes=5, image_size=64).eval(),
    "regnet": lambda: Backbone("regnetx_002", num_classes=5, image_size=64).eval(),  # no chain of its own
}
NETWORKS = {**CNNS, "vit": tiny.vit, "swin": tiny.swin}


def grids(backbone, n=2, count=2):
    height, width = backbone.preprocessing.size
    return uniform(count, 3, n * height, n * width).float() * 2 - 1


def cell_mask(backbone, n, cell):
    height, width = backbone.preprocessing.size
    mask = torch.zeros(1, 1, n * height, n * width)
    cut_out(mask, n, cell)[:] = 1
    return mask[0, 0].bool()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("cell", [0, 2])
def test_g2_the_logits_are_those_of_the_cell_and_nothing_else_has_a_gradient(name, cell):
    backbone = NETWORKS[name]()
    network, images = di_full(backbone, 2, cell), grids(backbone)
    images.requires_grad_(True)
    logits = network.eval()(images)
    torch.testing.assert_close(logits, backbone(cut_out(images, 2, cell)), rtol=1e-4, atol=1e-4)
    (gradient,) = torch.autograd.grad(logits[:, 1].sum(), images)
    outside = gradient[:, :, ~cell_mask(backbone, 2, cell)]
    assert torch.equal(outside, torch.zeros_like(outside))
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("name", CNNS)
def test_g2_input_x_gradient_scores_one_and_a_map_of_cells_of_a_layer_less(name):
    backbone = CNNS[name]()
    network, images = di_full(backbone, 2, 3), grids(backbone)
    regions = cell_mask(backbone, 2, 3).expand(2, -1, -1)
    assert GridPointing().score(InputXGradient().attribute(network, images, 1), regions).tolist() == [1, 1]
    final = network.layers()[-1]
    for method in (GradCAM(layer=final), LayerCAM(layer=final)):
        maps = method.attribute(network, images, 1)
        assert maps.shape[1] == 2 * (maps.shape[1] // 2)
        scores = GridPointing().score(maps, regions)
        assert (scores[~scores.isnan()] < 1).all()
        assert not scores.isnan().all()
    assert RISE(n_samples=8).attribute(network, images, 1).isfinite().all()


@pytest.mark.parametrize("name", CNNS)
def test_layers_of_a_cnn_are_joined_of_those_of_its_cells(name):
    backbone = CNNS[name]()
    network, images = di_full(backbone, 2, 0), grids(backbone, count=1)
    layers = network.layers()
    assert layers
    assert all(layer.startswith("joined.") and layer.count(".") == 1 for layer in layers)
    joined = network.features(images)
    for cell in range(4):
        features = backbone.model.forward_features(cut_out(images, 2, cell))
        torch.testing.assert_close(cut_out(joined, 2, cell), features, rtol=1e-4, atol=1e-4)


def test_a_transformer_offers_no_layer_that_would_be_taken_for_one_of_the_grid():
    network = di_full(tiny.vit(), 2, 0)
    assert network.layers() == []
    with pytest.raises(InputError):
        GradCAM().attribute(network, grids(tiny.vit()), 1)


@pytest.mark.parametrize("name", ["resnet", "efficientnet"])
def test_di_part_leaks_a_receptive_field(name):
    backbone = CNNS[name]()
    network, images = di_part(backbone, 2, 3), grids(backbone)
    images.requires_grad_(True)
    logits = network.eval()(images)
    features = backbone.model.forward_features(images)
    torch.testing.assert_close(logits, backbone.model.forward_head(cut_out(features, 2, 3)))
    assert network.layers()[-1].startswith("model.")
    (gradient,) = torch.autograd.grad(logits[:, 1].sum(), images)
    assert gradient[:, :, ~cell_mask(backbone, 2, 3)].abs().sum() > 0  # the convolutions see the whole grid
    maps, regions = InputXGradient().attribute(network, images.detach(), 1), cell_mask(backbone, 2, 3).expand(2, -1, -1)
    assert (GridPointing().score(maps, regions) < 1).all()


def test_what_makes_no_sense_is_refused():
    with pytest.raises(InputError, match="cell is 4: give the number of one of the 4 cells"):
        di_full(tiny.resnet(), 2, 4)
    with pytest.raises(InputError, match="n is 1"):
        di_part(tiny.resnet(), 1)
    layers = torch.nn.Conv2d(3, 4, 9), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    for backbone in (tiny.vit(), tiny.swin(), Backbone.wrap(torch.nn.Sequential(*layers), image_size=32)):
        with pytest.raises(InputError, match="DiPart needs a CNN of timm"):
            di_part(backbone)


def test_the_network_that_is_wrapped_stays_as_it_was():
    backbone = tiny.resnet().train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    network = di_full(backbone)
    assert backbone.training
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
    assert network.num_classes == backbone.num_classes
