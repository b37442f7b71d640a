"""Token order is looked at, not believed: maps of tokens in another order are refused, with what was seen."""

import pytest
import torch

from lit_coiba import attribution
from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from tests.faults.nets import Transformer

SIZES = [(32, 48), (32, 32)]


def build(order, size, norm_first=True, **arguments):
    net = Transformer(order, norm_first, size[0] * size[1] // 64)
    return Backbone.wrap(net.eval(), image_size=size, **arguments)


def noise(size):
    return torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("order", ["columns", "cls_last", "backwards"])
def test_other_orders_are_refused(order, size, norm_first):
    model = build(order, size, norm_first)
    layer = "encoder.layers.0.norm1"
    assert layer in model.misplaced
    assert layer not in model.layers()
    with pytest.raises(InputError, match=r"reading order.*a change of the picture at row .* shows at row") as refusal:
        model.grid(layer)
    assert len(str(refusal.value)) < 500
    for name in ("GradCAM", "AttentionRollout", "Chefer", "ViTCX"):
        with pytest.raises(InputError, match="reading order") as refusal:
            getattr(attribution, name)().attribute(model, noise(size), 1)
        assert len(str(refusal.value)) < 500
    assert "not in reading order" in str(model.report)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("norm_first", [True, False])
def test_reading_order_is_taken(size, norm_first):
    model = build("rows", size, norm_first)
    assert not model.misplaced
    grid = model.grid("encoder.layers.0.norm1")
    assert (grid.height, grid.width, grid.num_prefix_tokens) == (size[0] // 8, size[1] // 8, 1)
    assert attribution.GradCAM(relu=False).attribute(model, noise(size), 1).any()


def test_methods_at_pixels_need_no_places():
    model = build("columns", (32, 48))
    assert attribution.Saliency().attribute(model, noise((32, 48)), 1).any()


def test_who_knows_better_says_so():
    model = build("columns", (32, 48), look=False)
    assert model.grid("encoder.layers.0.norm1").width == 6
