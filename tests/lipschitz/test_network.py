"""The plain network: its interface of timm, its shapes, and what does not fit together."""

import pytest
import torch

from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.heads import LinearHead
from tests._testers import lipschitz as small

IMAGES = torch.randn(2, 3, small.SIZE, small.SIZE, generator=torch.Generator().manual_seed(0))


def test_it_is_a_model_of_timm():
    backbone = small.backbone()
    assert backbone.num_classes == small.CLASSES
    assert backbone.preprocessing.size == (16, 16)
    assert backbone.preprocessing.std == (1.0, 1.0, 1.0)
    assert backbone.feature_channels == 16
    assert backbone.features(IMAGES).shape == (2, 16, 4, 4)
    assert backbone.default_layers()


def test_the_head_of_the_features_is_the_whole():
    model = small.backbone().model
    features = model.forward_features(IMAGES)
    torch.testing.assert_close(model.forward_head(features), model(IMAGES))
    pooled = model.forward_head(features, pre_logits=True)
    torch.testing.assert_close(pooled, features.amax((-2, -1)))
    torch.testing.assert_close(model.get_classifier()(pooled), model(IMAGES))


def test_another_head_takes_the_place_of_its_own():
    backbone = small.backbone()
    backbone.attach(LinearHead(16, 7))
    assert backbone(IMAGES).shape == (2, 7)


def test_layers_can_be_split_anywhere():
    backbone = small.backbone().eval()
    for layer in ("stages.0", "stages.1", "stages.2"):
        split = backbone.split([layer])
        torch.testing.assert_close(split.upper(split.lower(IMAGES), lambda i, x: x), backbone(IMAGES))


@pytest.mark.parametrize(
    ("arguments", "pooled"),
    [({"pool": "average"}, 16), ({"pool": "average", "pool_size": 2}, 64), ({"pool_size": 4}, 256)],
    ids=str,
)
def test_pooling(arguments, pooled):
    kwargs = {**small.STAGES, **arguments}
    model = Backbone("lipschitz_cnn", num_classes=3, image_size=16, timm_kwargs=kwargs).model
    features = model.forward_features(IMAGES)
    cells = features.unflatten(3, (model.pool_size, -1)).unflatten(2, (model.pool_size, -1))
    expected = cells.mean((3, 5)) if model.pool_kind == "average" else cells.amax((3, 5))
    torch.testing.assert_close(model.forward_head(features, pre_logits=True), expected.flatten(1))
    assert expected[0].numel() == pooled


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"widths": (8, 16)}, "widths, strides and kernel_sizes have 2, 3 and 3 numbers"),
        ({"widths": (8, 15, 16)}, "there are 15: give an even number"),
        ({"kernel_sizes": (3, 4, 3)}, "kernel_sizes has 4 where strides has 1"),
        ({"strides": (2, 1, 3)}, "img_size is 16 x 16, and the strides make 6 pixels one cell"),
        ({"pool_size": 3}, "pool_size is 3 for features of 4 x 4 cells"),
        ({"head": "shared"}, "head is 'shared': choose disjoint, orthogonal"),
        ({"pool": "l2"}, "pool is 'l2': choose maximum, average"),
    ],
)
def test_what_does_not_fit_together_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Backbone("lipschitz_cnn", num_classes=3, image_size=16, timm_kwargs={**small.STAGES, **arguments})
