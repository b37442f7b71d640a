import pytest
import torch

from lit_coiba.backbones.fused_attention import attention_modules, unfused_if_slow
from tests.backbones.families import family, images_for


@pytest.fixture
def modules():
    found = attention_modules(family("vit"))
    found[1].fused_attn = False
    return found


def flags(modules):
    return [module.fused_attn for module in modules]


def test_low_precision_on_the_cpu_runs_plain_attention(modules):
    assert len(modules) == 3
    with torch.autocast("cpu", torch.bfloat16), unfused_if_slow(modules, torch.zeros(1)):
        assert flags(modules) == [False, False, False]
    assert flags(modules) == [True, False, True]
    with unfused_if_slow(modules, torch.zeros(1, dtype=torch.bfloat16)):
        assert flags(modules) == [False, False, False]


def test_full_precision_and_forwards_alone_are_left_as_they_are(modules):
    with unfused_if_slow(modules, torch.zeros(1)):
        assert flags(modules) == [True, False, True]
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad(), unfused_if_slow(modules, torch.zeros(1)):
        assert flags(modules) == [True, False, True]
    with torch.autocast("cpu", torch.bfloat16), unfused_if_slow(modules, torch.zeros(1, device="meta")):
        assert flags(modules) == [True, False, True]


def test_flags_come_back_after_an_exception(modules):
    with pytest.raises(KeyError), torch.autocast("cpu", torch.bfloat16), unfused_if_slow(modules, torch.zeros(1)):
        raise KeyError
    assert flags(modules) == [True, False, True]


def test_the_tail_switches_and_agrees_with_the_model_to_the_precision_of_bfloat16():
    backbone = family("vit").float()
    images, path = images_for(backbone).float(), backbone.split(["blocks.1.norm1"])
    seen = []

    def edit(index, activation):
        seen.append(backbone.model.blocks[2].attn.fused_attn)
        return activation

    with torch.autocast("cpu", torch.bfloat16):
        logits = path.upper(path.lower(images), edit)
        expected = backbone(images)
    assert seen == [False]
    assert backbone.model.blocks[2].attn.fused_attn
    torch.testing.assert_close(logits.float(), expected.float(), rtol=0, atol=0.05 * expected.abs().max().item())
