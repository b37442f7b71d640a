"""Checks are numbered as in the spec coiba.md; 1 is in test_twins.py, 2 to 4 and 11 in tests/functional."""

import math

import pytest
import torch
from scipy.stats import spearmanr
from torch.nn.functional import cross_entropy

from lit_coiba.bottlenecks import CoIBA
from lit_coiba.core.errors import InputError
from lit_coiba.functional import information
from tests._testers import tiny
from tests._testers.twins import SlowCoIBA, kl

BLOCKS = [f"blocks.{i}.norm1" for i in range(6)]
TARGETS = torch.tensor([1, 5, 8])


@pytest.fixture(scope="module")
def model():
    return tiny.vit().double()


@pytest.fixture(scope="module")
def images(model):
    return tiny.images(3, model.preprocessing.size, seed=4).double()


@pytest.fixture(scope="module")
def statistics(model):
    return tiny.statistics(model, BLOCKS)


@pytest.fixture
def build(model, statistics):
    def build(**arguments):
        method = CoIBA(**{"layers": BLOCKS, "copies": 4, **arguments})
        method.set_statistics(model, statistics, ())
        return method

    return build


def clean_entropy(model, images, targets):
    with torch.no_grad():
        return cross_entropy(model(images), targets, reduction="none")


def squares(model, images, statistics, layer=BLOCKS[0], min_std=0.01):
    """m of the spec: mean over channels of the standardised activation's square, ``(B, T)``, from a hook."""
    found = []
    handle = model.model.get_submodule(layer).register_forward_hook(lambda m, a, output: found.append(output))
    with torch.no_grad():
        model(images)
    handle.remove()
    mean, std = statistics.mean[layer].double(), statistics.std[layer].double().clamp(min=min_std)
    return ((found[0] - mean) / std).square().mean(-1)


def test_5_a_ratio_of_one_is_the_clean_model(model, images, build):
    explained = build(alpha_init=40.0, steps=2).explain(model, images, TARGETS)
    torch.testing.assert_close(
        explained.extras["cross_entropy_start"], clean_entropy(model, images, TARGETS), rtol=1e-6, atol=0
    )


def test_5_a_ratio_of_zero_passes_nothing(model, images, build):
    explained = build(alpha_init=-1000.0, steps=2, lr=1e-3).explain(model, images, TARGETS[:1].expand(3))
    assert torch.equal(explained.maps, torch.zeros(3, 4, 4, dtype=torch.float64))
    assert torch.equal(explained.extras["bits"], torch.zeros(3, dtype=torch.float64))


def test_5_pure_noise_in_a_whole_block_knows_nothing_of_the_image(model, images):
    layer = "blocks.2"
    method = CoIBA([layer], alpha_init=-1000.0, steps=2)
    method.set_statistics(model, tiny.statistics(model, [layer]), ())
    entropy = method.explain(model, images, TARGETS[:1].expand(3)).extras["cross_entropy_start"]
    assert (entropy - entropy[0]).abs().max() < 1e-12


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_6_a_batch_of_one_equals_a_batch_of_three(images, dtype, tolerance):
    model = tiny.vit().to(dtype)
    method = CoIBA(BLOCKS, beta=0.1)
    method.set_statistics(model, tiny.statistics(model, BLOCKS), ())
    together = method.explain(model, images.to(dtype), TARGETS)
    for i in range(3):
        alone = method.explain(model, images[i : i + 1].to(dtype), TARGETS[i : i + 1])
        assert ((together.maps[i] - alone.maps[0]).abs().max() / alone.maps.max()) <= tolerance
        for name in alone.extras:
            torch.testing.assert_close(together.extras[name][i], alone.extras[name][0], rtol=tolerance, atol=tolerance)


def test_7_the_first_update_moves_every_logit_by_one(model, images, statistics, build):
    maps = build(beta=0.01, steps=2, copies=10).explain(model, images, TARGETS).maps.flatten(1)
    m = squares(model, images, statistics)[:, 1:]
    up, down = (32 / math.log(2) * information(torch.tensor(5.0 + s, dtype=torch.float64), m) for s in (1, -1))
    slope = 32 / math.log(2)  # bits per unit of alpha, at most
    moved_up, moved_down = (maps - up).abs() < 1e-3 * slope, (maps - down).abs() < 1e-3 * slope
    assert (moved_up | moved_down).all()
    assert moved_up.any()
    assert moved_down.any()


def test_7_nine_updates_keep_the_logits_between_minus_4_and_14(model, images, statistics, build):
    m = squares(model, images, statistics)[:, 1:]
    low, high = (32 / math.log(2) * information(torch.tensor(a, dtype=torch.float64), m) for a in (-4.1, 14.1))
    for beta in (0.0, 100.0):
        maps = build(beta=beta).explain(model, images, TARGETS).maps.flatten(1)
        assert ((maps > low) & (maps < high)).all()


def test_a_huge_beta_leaves_the_descent_on_information_alone(model, images, statistics, build):
    m = squares(model, images, statistics)
    alpha = torch.full_like(m, 5.0, requires_grad=True)
    optimiser = torch.optim.Adam([alpha], lr=1.0)
    for _ in range(10):
        nats = kl(torch.sigmoid(alpha), m.sqrt())
        (alpha.grad,) = torch.autograd.grad(nats.sum(), alpha)
        optimiser.step()
    maps = build(beta=1e7).explain(model, images, TARGETS).maps.flatten(1)
    torch.testing.assert_close(maps, 32 / math.log(2) * nats.detach()[:, 1:], rtol=1e-4, atol=0)


def test_8_without_beta_a_logit_rises_only_where_cross_entropy_falls(model, images, statistics, build):
    maps = build(beta=0.0, steps=2).explain(model, images, TARGETS).maps.flatten(1)
    start = 32 / math.log(2) * information(torch.tensor(5.0, dtype=torch.float64), squares(model, images, statistics))
    twin = SlowCoIBA(model.model, tiny.places(model, statistics, copies=4), beta=0.0, copies=4)
    for image, target, found, before in zip(images, TARGETS, maps, start):
        alpha = twin.start(image).requires_grad_(True)
        (slope,) = torch.autograd.grad(twin.information(image, target, alpha, 0)[0], alpha)
        assert torch.equal(found > before[1:], slope[1:] < 0)
    assert (maps > start[:, 1:]).any()
    assert (maps < start[:, 1:]).any()


def test_9_the_seed_decides_and_nothing_else(model, images, build):
    torch.manual_seed(1)
    first = build(beta=0.1, seed=3).explain(model, images, TARGETS).maps
    torch.manual_seed(2)
    assert torch.equal(build(beta=0.1, seed=3).explain(model, images, TARGETS).maps, first)
    assert not torch.equal(build(beta=0.1, seed=4).explain(model, images, TARGETS).maps, first)
    companions = torch.cat([images[:1], tiny.images(4, (32, 32), seed=9).double()])
    other = build(beta=0.1, seed=3).explain(model, companions, torch.tensor([1, 0, 0, 3, 9])).maps
    torch.testing.assert_close(other[0], first[0], rtol=1e-10, atol=0)


@pytest.mark.parametrize("alpha_init", [-3.0, 0.0, 5.0])
def test_10_noise_reaches_the_stream_only_through_attention(images, alpha_init):
    model = tiny.vit()
    with torch.no_grad():
        for block in model.model.blocks:
            block.attn.proj.weight.zero_()
            block.attn.proj.bias.zero_()
    model = model.double()
    method = CoIBA(BLOCKS, alpha_init=alpha_init, steps=2)
    method.set_statistics(model, tiny.statistics(model, BLOCKS), ())
    entropy = method.explain(model, images, TARGETS).extras["cross_entropy_start"]
    torch.testing.assert_close(entropy, clean_entropy(model, images, TARGETS), rtol=1e-12, atol=0)


def test_12_low_precision_keeps_the_order_of_places(images):
    """How well is measured by a benchmark; here only that the fit itself stays in single precision."""
    model = tiny.vit()
    method = CoIBA(BLOCKS, beta=0.1)
    method.set_statistics(model, tiny.statistics(model, BLOCKS), ())
    exact = method.explain(model, images.float(), TARGETS).maps
    with torch.autocast("cpu", torch.bfloat16):
        rough = method.explain(model, images.float(), TARGETS)
    assert rough.maps.dtype == torch.float32
    assert all(values.isfinite().all() for values in (rough.maps, *rough.extras.values()))
    for a, b in zip(exact, rough.maps):
        assert spearmanr(a.flatten().numpy(), b.flatten().numpy()).statistic > 0.8


def test_13_mixed_grids_are_refused_by_name():
    model = tiny.resnet()
    layers = ["layer2.0", "layer3.0"]
    sentence = r"different grids \(layer2.0 8x8, layer3.0 4x4\): choose layers of one grid, or set grids=resize"
    with pytest.raises(InputError, match=sentence):  # before a pass over the data is spent on them
        CoIBA(layers).prepare(model, [tiny.images(4, (64, 64))])
    method = CoIBA(layers, grids="resize")
    statistics = tiny.statistics(model, layers)
    method.set_statistics(model, statistics, ())
    assert method.explain(model, tiny.images(1, (64, 64))).maps.shape == (1, 8, 8)
    method.grids = "same"
    with pytest.raises(InputError, match=sentence):
        method.explain(model, tiny.images(1, (64, 64)))


def test_13_layers_with_different_prefix_tokens_share_no_ratio():
    model = tiny.vit()
    with pytest.raises(InputError, match=r"different prefix tokens.*blocks.0.norm1 4x4 with 1 prefix tokens"):
        CoIBA(["patch_embed", "blocks.0.norm1"], grids="resize").statistics_layers(model)


def test_13_missing_statistics_are_refused(model, images, statistics):
    with pytest.raises(InputError, match="call prepare"):
        CoIBA(BLOCKS).explain(model, images)
    method = CoIBA(["blocks.1.norm1", "blocks.1.norm2"])
    method.set_statistics(model, statistics, ())
    with pytest.raises(InputError, match=r"lack the layers \['blocks.1.norm2'\]; they have \['blocks.0.norm1', .*"):
        method.explain(model, images)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"steps": 1}, "steps is 1: give a whole number, 2 or more"),
        ({"copies": 0}, "copies is 0: give a whole number, 1 or more"),
        ({"beta": -1.0}, "beta is -1.0: give 0 or more"),
        ({"lr": 0.0}, "lr is 0.0: give a number above 0"),
        ({"min_std": 0.0}, "min_std is 0.0: give a number above 0"),
        ({"information": "last"}, "information is 'last': choose first, mean"),
        ({"grids": "any"}, "grids is 'any': choose same, resize"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        CoIBA(**arguments)


def test_bits_count_prefix_tokens_and_the_map_does_not(model, images, build):
    explained = build(beta=0.1).explain(model, images, TARGETS)
    assert explained.maps.shape == (3, 4, 4)
    assert (explained.extras["bits"] > explained.maps.sum((1, 2))).all()


def test_changed_arguments_change_the_noise(model, images, build):
    """The noise is kept from batch to batch; it must not outlive the arguments that it was drawn for."""
    method = build(beta=0.1)
    first = method.explain(model, images, TARGETS).maps
    method.seed, method.copies, method.min_std, method.antithetic = 7, 6, 0.3, True
    changed = method.explain(model, images, TARGETS).maps
    fresh = build(beta=0.1, seed=7, copies=6, min_std=0.3, antithetic=True).explain(model, images, TARGETS).maps
    assert torch.equal(changed, fresh)
    assert not torch.equal(changed, first)


def test_noise_is_the_same_when_too_much_to_be_kept(model, images, build, monkeypatch):
    kept = build(beta=0.1).explain(model, images, TARGETS).maps
    monkeypatch.setattr("lit_coiba.bottlenecks.prior.KEPT_BYTES", 100_000)
    assert torch.equal(build(beta=0.1).explain(model, images, TARGETS).maps, kept)


def test_the_order_of_layers_does_not_matter(model, images, build):
    shuffled = build(beta=0.1, layers=[BLOCKS[3], BLOCKS[0], BLOCKS[2]]).explain(model, images, TARGETS).maps
    ordered = build(beta=0.1, layers=[BLOCKS[0], BLOCKS[2], BLOCKS[3]]).explain(model, images, TARGETS).maps
    assert torch.equal(shuffled, ordered)


def test_layers_are_a_list():
    with pytest.raises(InputError, match=r"layers is 'layer1': give a list, each value text or null, \['layer1'\]"):
        CoIBA(layers="layer1")


@pytest.mark.filterwarnings("ignore:.*survive pure noise")
def test_one_tensor_of_images_is_a_loader(model):
    images = tiny.images(5, model.preprocessing.size, seed=8).double()
    maps = []
    for loader in (images, images.split(2)):
        method = CoIBA(BLOCKS[:2], copies=2, steps=3)
        method.prepare(model, loader)
        maps.append(method.attribute(model, images[:2], 1))
    torch.testing.assert_close(*maps, rtol=1e-9, atol=0)
    with pytest.raises(InputError, match=r"shape \(3, 32, 32\): give a tensor \(B, 3, H, W\), or a loader"):
        CoIBA().prepare(model, images[0])


def test_it_prints_its_arguments():
    assert repr(CoIBA(beta=3.0)).startswith("CoIBA(layers=None, statistics=None, steps=10, copies=10, beta=3.0")
