"""Scores in bf16 beside those in fp32: what a table shows moves by no more than .005."""

import pytest
import torch

from lit_coiba.backbones import Backbone
from lit_coiba.data.synthetic import SyntheticPartsDataset
from lit_coiba.functional import resize_map
from lit_coiba.metrics import SRG, Deletion, Insertion
from lit_coiba.metrics.faithfulness import removal
from lit_coiba.resources import resource

IMAGES = range(8)
CURVES = [Insertion(steps=16), Deletion(steps=16), SRG(steps=8, baseline="auto")]


@pytest.fixture(scope="module", params=["cnn", "vit"])
def case(request):
    model = Backbone.load(resource(f"checkpoints/synthetic_parts_{request.param}.safetensors")).eval()
    images = model.normalize(SyntheticPartsDataset("test").batch(list(IMAGES)) / 255)
    with torch.no_grad():
        targets = model(images).argmax(1)
    coarse = torch.rand(len(images), 8, 8, generator=torch.Generator().manual_seed(0))
    return model, images, targets, resize_map(coarse, (64, 64))


@pytest.mark.parametrize("metric", CURVES, ids=lambda metric: type(metric).__name__)
def test_means_are_those_of_fp32(case, metric):
    exact = metric.score(*case)
    with torch.autocast("cpu", torch.bfloat16):
        fast = metric.score(*case)
    assert fast.dtype == exact.dtype
    assert not torch.equal(fast, exact)  # it did run in bf16
    assert abs(float(fast.mean() - exact.mean())) <= 0.005
    assert float((fast - exact).abs().max()) <= 0.05


def test_twice_as_many_images_fit_in_a_forward_in_bf16(case, monkeypatch):
    model, images, targets, maps = case
    monkeypatch.setattr(removal, "CPU_PIXELS", 3 * 64 * 64)
    sizes = []
    hook = model.model.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    try:
        Deletion(steps=16).score(model, images, targets, maps)
        alone = max(sizes[1:])
        sizes.clear()
        with torch.autocast("cpu", torch.bfloat16):
            Deletion(steps=16).score(model, images, targets, maps)
    finally:
        hook.remove()
    assert (alone, max(sizes[1:])) == (3, 6)
