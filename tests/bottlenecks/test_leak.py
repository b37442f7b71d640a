import gc
import warnings

import pytest
import torch
from torch import nn

from lit_coiba.backbones import Backbone
from lit_coiba.bottlenecks import CoIBA, choose_layers, estimate_statistics, leak
from lit_coiba.bottlenecks.leak import sample_images
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.functional import noise
from tests._testers import tiny

BLOCKS = [f"blocks.{i}" for i in range(4)]


class Scaled(nn.Module):
    """What one block writes into the stream: the image, times a factor."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor
        self.norm1 = nn.Identity()

    def forward(self, images):
        return self.factor * self.norm1(images)


class Written(nn.Module):
    """The class is the brightest color; `factors` say which blocks write it, `bypass` goes around all of them."""

    def __init__(self, factors, bypass):
        super().__init__()
        self.blocks = nn.ModuleList(map(Scaled, factors))
        self.bypass = bypass
        self.head = nn.Linear(3, 3, bias=False)
        nn.init.eye_(self.head.weight)

    def forward(self, images):
        stream = self.bypass * images
        for block in self.blocks:
            stream = stream + block(images)
        return self.head(stream.mean((2, 3)))


EARLIER = [BLOCKS[2:], BLOCKS[1:], BLOCKS]


class StartsAtTwo(Backbone):
    def default_layers(self):
        return BLOCKS[2:]


@pytest.fixture(scope="module")
def images():
    """240 images of three classes, in 15 batches."""
    generator = torch.Generator().manual_seed(0)
    images = 0.5 * torch.randn(240, 3, 8, 8, generator=generator)
    classes = torch.randint(3, (240,), generator=generator)
    images[torch.arange(240), classes] += 2
    return list(images.split(16))


def built(factors=(0.0, 0.0, 0.0, 0.0), bypass=0.0):
    return StartsAtTwo.wrap(Written(factors, bypass).eval(), Preprocessing((8, 8)), num_classes=3)


def leak_of(model, images, layers):
    return leak(model, estimate_statistics(model, BLOCKS, images), layers, images, 0.01, 0)


def test_what_goes_around_the_layers_survives(images):
    found = leak_of(built(bypass=1.0), images, BLOCKS)
    assert found.kept == {"blocks.0": 1.0}
    assert (found.images, found.layers) == (240, tuple(BLOCKS))
    assert found.chance == pytest.approx(1 / 3, abs=0.05)


def test_what_passes_the_layers_does_not(images):
    found = leak_of(built((1.0, 0.0, 0.0, 0.0)), images, BLOCKS)
    assert abs(found.kept["blocks.0"] - found.chance) < 0.1
    assert found.chance == pytest.approx(1 / 3, abs=0.05)


def test_the_figure_is_the_agreement_of_two_passes(images):
    """Half of the evidence goes around: counted by hand, with the same noise."""
    model = built((1.0, 0.0, 0.0, 0.0), bypass=0.05)
    statistics = estimate_statistics(model, BLOCKS, images)
    found = leak(model, statistics, ["blocks.0"], images, 0.01, 3)
    prior = CoIBA(["blocks.0"], seed=3)._prior(statistics, ["blocks.0"], copies=1)
    agree = 0
    for number, batch in enumerate(images):
        noised = model.model.head((0.05 * batch + prior.draw(number % 8, 0, batch)).mean((2, 3)))
        agree += (noised.argmax(-1) == model(batch).argmax(-1)).sum().item()
    assert found.kept["blocks.0"] == pytest.approx(agree / 240)
    assert 0.4 < found.kept["blocks.0"] < 1


@pytest.mark.parametrize(
    ("factors", "start", "tried"),
    [
        ((0.0, 0.0, 1.0, 0.0), 2, [2]),
        ((0.0, 1.0, 0.0, 0.0), 1, [2, 1]),
        ((1.0, 0.0, 0.0, 0.0), 0, [2, 1, 0]),
    ],
)
def test_the_start_moves_earlier_until_nothing_leaks(images, factors, start, tried):
    model = built(factors)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = choose_layers(model, estimate_statistics(model, BLOCKS, images), images, EARLIER, 0.01, 0)
    assert found.layers == tuple(BLOCKS[start:])
    assert list(found.kept) == [BLOCKS[k] for k in tried]
    assert all(found.kept[BLOCKS[k]] == 1 for k in tried[:-1])


def test_a_leak_at_the_first_block_too_is_warned_about(images):
    model = built(bypass=1.0)
    sentence = r"100% of the predictions survive pure noise in all bottleneck layers from blocks.0 on \(chance: 3\d%\)"
    with pytest.warns(UserWarning, match=sentence):
        found = choose_layers(model, estimate_statistics(model, BLOCKS, images), images, EARLIER, 0.01, 0)
    assert found.layers == tuple(BLOCKS)
    assert list(found.kept) == ["blocks.2", "blocks.1", "blocks.0"]


def test_tokens_without_a_place_may_be_left_clean():
    model, layer = tiny.vit(reg_tokens=4), "blocks.1"
    images = tiny.images(16, (32, 32), seed=3)
    statistics = tiny.statistics(model, [layer])
    mean, std = statistics.mean[layer], statistics.std[layer].clamp_min(0.01)
    noised = mean + std * noise(7, 0, 0, mean.shape).to(mean)
    expected = {}
    for prefix in (5, 0):

        def patches(module, arguments, output, prefix=prefix):
            return torch.cat([output[:, :prefix], noised[prefix:].expand(len(output), -1, -1)], 1)

        with torch.no_grad():
            clean = model(images).argmax(1)
            handle = model.model.blocks[1].register_forward_hook(patches)
            expected[prefix] = (model(images).argmax(1) == clean).double().mean().item()
            handle.remove()
    kept = [leak(model, statistics, [layer], [images], 0.01, 7, keep_prefix=k).kept[layer] for k in (True, False)]
    assert kept == [expected[5], expected[0]]
    assert kept[0] > kept[1]


def test_layers_that_were_named_are_tested_and_kept(images):
    model = built((1.0, 0.0, 0.0, 0.0))
    with pytest.warns(UserWarning, match="from blocks.3 on"):
        found = choose_layers(model, estimate_statistics(model, BLOCKS, images), images, [["blocks.3"]], 0.01, 0)
    assert found.layers == ("blocks.3",)


def test_prepare_chooses_the_layers_and_explain_uses_them(images):
    model = built((0.0, 1.0, 0.0, 0.0))
    method = CoIBA(steps=3, copies=2)
    method.prepare(model, iter(images))
    first = method.explain(model, images[0])
    named = CoIBA(BLOCKS[1:], steps=3, copies=2)
    named.prepare(model, images)
    assert torch.equal(named.explain(model, images[0]).maps, first.maps)
    assert method.layers is None  # an argument stays what the user said


def test_statistics_that_carry_a_leak_test_are_not_tested_again(images):
    model = built((0.0, 1.0, 0.0, 0.0))
    method = CoIBA()
    kept = method.set_statistics(model, estimate_statistics(model, BLOCKS, images), iter(images))
    assert kept.leak.layers == tuple(BLOCKS[1:])

    def unread():
        raise AssertionError("images are read")
        yield

    assert CoIBA().set_statistics(model, kept, unread()) is kept


def test_statistics_of_another_model_are_refused_before_the_test(images):
    def unread():
        raise AssertionError("images are read")
        yield

    with pytest.raises(InputError, match="another model"):
        CoIBA().set_statistics(built().double(), estimate_statistics(built(), BLOCKS, images), unread())


def test_without_images_or_layers_there_is_no_test(images):
    model = built()
    statistics = estimate_statistics(model, BLOCKS[2:], images)
    with pytest.raises(InputError, match="the leak test has no images"):
        leak(model, statistics, BLOCKS[2:], [], 0.01, 0)
    with pytest.raises(InputError, match=r"lack the layers \['blocks.1'\]"):
        leak(model, statistics, BLOCKS[1:], images, 0.01, 0)


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 200, 1000])
@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_sample_is_evenly_spaced_and_small(count, size):
    numbers = torch.arange(count, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 3, 2, 2)
    batches = [numbers[i : i + size].clone() for i in range(0, count, size)]
    kept, passed = sample_images(((batch, "label") for batch in batches), limit=64)
    seen = []
    for batch in passed:
        seen.append(batch)
        assert len(kept) <= 64
    assert torch.equal(torch.cat(seen), numbers) if count else not seen
    positions = [int(image[0, 0, 0, 0]) for image in kept]
    stride = positions[1] - positions[0] if len(positions) > 1 else 1
    assert positions == list(range(0, count, stride))
    assert len(kept) > 32 or stride == 1


def test_a_sample_does_not_hold_on_to_its_batches():
    kept, passed = sample_images((torch.zeros(50, 3, 4, 4) for _ in range(10)), limit=4)
    for batch in passed:
        batch.fill_(7)  # a loader may use its memory again
    gc.collect()
    assert 2 < len(kept) <= 4
    assert all(image.shape == (1, 3, 4, 4) for image in kept)
    assert all(image.untyped_storage().nbytes() == image.nbytes for image in kept)
    assert all((image == 0).all() for image in kept)
