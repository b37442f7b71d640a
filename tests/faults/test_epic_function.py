"""EPIC keeps the function of a classifier, or says that it cannot."""

from __future__ import annotations

import pytest
import torch

from lit_coiba.backbones import Backbone
from lit_coiba.backbones.grid_head import linear_classifier
from lit_coiba.core.errors import InputError
from lit_coiba.heads import EPICHead
from tests._testers import tiny

READ_OTHERWISE = {
    "cls": lambda: tiny.vit(),
    "registers": tiny.vit_with_registers,
    "attention pooling": lambda: tiny.vit(global_pool="map", class_token=False),
    "patches averaged before the norm": lambda: tiny.vit(global_pool="avg"),
}


@pytest.mark.parametrize("name", READ_OTHERWISE)
@pytest.mark.parametrize("first", ["weights", "attached"])
def test_a_model_that_computes_something_else_is_refused(name, first):
    """Logits of a ViT with CLS changed by .93 of the largest one, of DINOv2 by .31, of SigLIP by 28, without a word."""
    backbone = READ_OTHERWISE[name]()
    classifier = linear_classifier(backbone.model)
    head = EPICHead(backbone.feature_channels, tiny.CLASSES)
    steps = [lambda: head.init_from_linear(*classifier), lambda: backbone.attach(head)]
    former, latter = steps if first == "weights" else reversed(steps)
    former()
    with pytest.raises(InputError, match="its logits would change by") as refusal:
        latter()
    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize("build", [tiny.resnet, tiny.swin])
def test_models_that_average_are_what_they_were(build):
    backbone, images = build(), tiny.images(2, build().preprocessing.size)
    expected = backbone(images)
    head = EPICHead(backbone.feature_channels, tiny.CLASSES)
    head.init_from_linear(*linear_classifier(backbone.model))
    backbone.attach(head)
    torch.testing.assert_close(backbone(images), expected, rtol=1e-4, atol=1e-5)


def test_a_head_that_promises_nothing_is_attached_to_any_model():
    """As a checkpoint is read: the head is attached first, and its weights are loaded into it."""
    backbone: Backbone = tiny.vit()
    head = EPICHead(backbone.feature_channels, tiny.CLASSES)
    backbone.attach(head)
    head.load_state_dict(EPICHead(backbone.feature_channels, tiny.CLASSES).state_dict())
