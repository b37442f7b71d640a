"""Checks are numbered as in the spec iba.md; 1, 2, 5 and 7 are in tests/functional, 3 in test_gradient.py."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from lit_coiba.bottlenecks import IBA
from lit_coiba.core.errors import InputError
from lit_coiba.functional import resize_map
from tests._testers import tiny

TARGETS = torch.tensor([1, 5, 8])
LAYER = "layer2.1"


@pytest.fixture(scope="module")
def model():
    return tiny.resnet().double()


@pytest.fixture(scope="module")
def images(model):
    return tiny.images(3, model.preprocessing.size, seed=4).double()


@pytest.fixture(scope="module")
def statistics(model):
    return tiny.statistics(model, [LAYER])


@pytest.fixture
def build(model, statistics):
    def build(**arguments):
        method = IBA(**{"layer": LAYER, "copies": 4, "steps": 6, **arguments})
        method.set_statistics(model, statistics, ())
        return method

    return build


def test_4_the_map_integrates_to_the_total_bits(model, images, build):
    explained = build(beta=0.5).explain(model, images, TARGETS)
    height, width = model.preprocessing.size
    pixels = resize_map(explained.maps, (height, width)) * (8 * 8) / (height * width)
    torch.testing.assert_close(pixels.sum((1, 2)), explained.extras["bits"], rtol=1e-9, atol=0)
    uneven = resize_map(explained.maps, (50, 77)) * (8 * 8) / (50 * 77)
    torch.testing.assert_close(uneven.sum((1, 2)), explained.extras["bits"], rtol=0.05, atol=0)


def test_6_a_ratio_of_one_gives_clean_logits_and_no_hook_stays(model, images, build):
    with torch.no_grad():
        before = model(images)
    for smoothing in (0.0, 1.0):
        method = build(alpha_init=40.0, steps=2, smoothing=smoothing, active_threshold=-1.0)
        entropy = method.explain(model, images, TARGETS).extras["cross_entropy_start"]
        torch.testing.assert_close(entropy, cross_entropy(before, TARGETS, reduction="none"), rtol=1e-6, atol=0)
    with torch.no_grad():
        assert torch.equal(model(images), before)


def test_9_images_of_different_classes_have_the_losses_of_single_images(model, images, build):
    method = build()
    together = method.explain(model, images, TARGETS)
    for i in range(3):
        alone = method.explain(model, images[i : i + 1], TARGETS[i : i + 1])
        for name in ("cross_entropy_start", "cross_entropy", "bits"):
            torch.testing.assert_close(together.extras[name][i], alone.extras[name][0], rtol=1e-6, atol=0)


def test_12_same_seed_same_map(model, images, build):
    first = build(seed=3).explain(model, images, TARGETS).maps
    torch.manual_seed(8)
    assert torch.equal(build(seed=3).explain(model, images, TARGETS).maps, first)
    assert not torch.equal(build(seed=4).explain(model, images, TARGETS).maps, first)


def test_closed_units_pass_nothing(model, images, build):
    assert torch.equal(build(active_threshold=1.0).explain(model, images, TARGETS).maps, images.new_zeros(3, 8, 8))
    everything = build(active_threshold=1.0).explain(model, images, TARGETS[:1].expand(3)).extras["cross_entropy"]
    assert (everything - everything[0]).abs().max() < 1e-12  # the network above sees zeros whatever the image is


def test_relu_clamps_what_the_network_above_sees(model, images, build):
    seen = []
    above = model.model.get_submodule("layer2.2.conv1")
    handle = above.register_forward_pre_hook(lambda module, args: seen.append(args[0].detach().min()))
    try:
        for relu in (True, False):
            build(relu=relu, steps=2).explain(model, images, TARGETS)
    finally:
        handle.remove()
    assert seen[0] == 0
    assert seen[1] < 0


def test_7_units_without_variance_stay_finite(images):
    model = tiny.resnet().double()
    with torch.no_grad():  # a channel that is the same everywhere
        model.model.layer2[1].bn2.weight[0] = 0
        model.model.layer2[0].bn2.weight[0] = 0
        model.model.layer2[0].downsample[1].weight[0] = 0
    statistics = tiny.statistics(model, [LAYER])
    assert (statistics.std[LAYER][0] == 0).all()
    method = IBA(LAYER, steps=4, copies=2)
    method.set_statistics(model, statistics, ())
    explained = method.explain(model, images, TARGETS)
    assert explained.maps.isfinite().all()
    assert explained.extras["bits"].isfinite().all()


def test_default_layer_is_the_output_of_a_block():
    assert IBA().statistics_layers(tiny.vit()) == ["blocks.0", "blocks.1", "blocks.2"]
    model = tiny.resnet()
    assert IBA().statistics_layers(model) == model.default_layers()[:1]


def test_the_default_layer_moves_earlier_while_cls_alone_knows_the_class(monkeypatch):
    model, images = told_to_cls(by_block=1), tiny.images(32, (32, 32), seed=5)
    method = IBA(steps=3, copies=2)
    method.prepare(model, [images])
    leak = method._slot.of(model).leak
    assert leak.kept["blocks.2"] == leak.kept["blocks.1"] == 1.0
    assert leak.kept["blocks.0"] <= leak.chance + 0.05
    assert leak.layers == ("blocks.0",)
    named = IBA("blocks.0", steps=3, copies=2)
    named.prepare(model, [images])
    assert torch.equal(method.explain(model, images[:2]).maps, named.explain(model, images[:2]).maps)
    with pytest.warns(UserWarning, match="100% of the predictions survive pure noise in all patches of blocks.1"):
        IBA("blocks.1").prepare(model, [images])


def told_to_cls(by_block):
    """A ViT whose CLS token attends to the image in one block only; no other block changes it."""
    model = tiny.vit()
    for number, block in enumerate(model.model.blocks):
        if number != by_block:
            for last in (block.attn.proj, block.mlp.fc2):
                torch.nn.init.zeros_(last.weight)
                torch.nn.init.zeros_(last.bias)
    return model


def test_smoothing_is_the_papers_on_feature_maps_and_off_on_tokens():
    for model, layer, sigma in [(tiny.vit(), "blocks.1", 0.0), (tiny.resnet(), LAYER, 1.0)]:
        images, statistics = tiny.images(2, model.preprocessing.size, seed=1), tiny.statistics(model, [layer])
        maps = []
        for method in (IBA(layer, copies=2), IBA(layer, copies=2, smoothing=sigma)):
            method.set_statistics(model, statistics, ())
            maps.append(method.explain(model, images, TARGETS[:2]).maps)
        assert torch.equal(*maps)


def test_another_layer_after_the_first_batch_has_its_own_noise(model, images):
    layers = ["layer2.0", LAYER]
    statistics = tiny.statistics(model, layers)
    method, fresh = IBA("layer2.0", copies=2, steps=3), IBA(LAYER, copies=2, steps=3)
    for each in (method, fresh):
        each.set_statistics(model, statistics, ())
    method.explain(model, images, TARGETS)
    method.layer = LAYER
    assert torch.equal(method.explain(model, images, TARGETS).maps, fresh.explain(model, images, TARGETS).maps)


def test_a_grid_too_small_to_smooth_is_refused_before_the_data_is_read():
    method = IBA("layer4.0")

    def loader():
        raise AssertionError("the data is read")
        yield

    sentence = r"smoothing=1.0 needs more than 2 cells per side, and layer layer4.0 has 2x2: choose an earlier layer"
    with pytest.raises(InputError, match=sentence):
        method.prepare(tiny.resnet(), loader())


def test_low_precision_keeps_the_fit_in_single_precision(images):
    model = tiny.resnet()
    method = IBA(LAYER, beta=0.5)
    method.set_statistics(model, tiny.statistics(model, [LAYER]), ())
    exact = method.explain(model, images.float(), TARGETS).maps
    with torch.autocast("cpu", torch.bfloat16):
        rough = method.explain(model, images.float(), TARGETS).maps
    assert rough.dtype == torch.float32
    assert torch.corrcoef(torch.stack([exact.flatten(), rough.flatten()]))[0, 1] > 0.9


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"steps": 1}, "steps is 1: give a whole number, 2 or more"),
        ({"copies": 0}, "copies is 0: give a whole number, 1 or more"),
        ({"beta": -1.0}, "beta is -1.0: give 0 or more"),
        ({"smoothing": -1.0}, "smoothing is -1.0: give 0 or more"),
        ({"lr": 0.0}, "lr is 0.0: give a number above 0"),
        ({"min_std": 0.0}, "min_std is 0.0: give a number above 0"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        IBA(**arguments)
