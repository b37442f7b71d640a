import pytest
import torch
from torch import nn

from lit_coiba.backbones.chains import chain
from lit_coiba.backbones.probe import probe
from lit_coiba.core.errors import InputError
from tests.backbones.families import PlainCNN, family


def test_records_tell_order_link_calls_and_shape():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.ReLU(inplace=True), nn.Flatten()), nn.Linear(16, 2))
    seen = probe(model, chain(model), (2, 2))
    assert list(seen.records) == ["0", "1.0", "1.1", "1", "2"]
    assert [r.link for r in seen.records.values()] == [0, 1, 2, 2, 3]
    assert all(record.whole and record.calls == 1 for record in seen.records.values())
    assert seen.records["0"].shape == (4, 2, 2)
    assert seen.output == (2,)
    assert seen.writes_input == {1}  # the ReLU


def test_modules_inside_a_link_are_recorded_before_it():
    backbone = family("vit")
    seen = probe(backbone.model, chain(backbone.model), (48, 48))
    names = list(seen.records)
    assert names.index("blocks.1.norm1") < names.index("blocks.1.attn.qkv") < names.index("blocks.1")
    inner, outer = seen.records["blocks.1.norm1"], seen.records["blocks.1"]
    assert (inner.link, inner.whole, outer.whole) == (outer.link, False, True)


def test_the_model_and_the_global_random_state_are_left_as_they_were():
    model = PlainCNN().train()
    model.body[3].eval()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    flags, random = [m.training for m in model.modules()], torch.get_rng_state()
    probe(model, chain(model), (8, 8))
    assert [m.training for m in model.modules()] == flags
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert not any(m._forward_hooks for m in model.modules())


def test_probing_works_in_inference_mode():
    model = PlainCNN()
    with torch.inference_mode():
        assert probe(model, chain(model), (8, 8)).output == (5,)


def test_a_size_that_the_model_refuses_is_named_and_nothing_is_left_behind():
    backbone = family("vit")
    with pytest.raises(InputError, match=r"VisionTransformer does not run on images of 64 x 48 pixels \(.*image_size"):
        probe(backbone.model, chain(backbone.model), (64, 48))
    assert not any(m._forward_hooks or m.training for m in backbone.model.modules())
