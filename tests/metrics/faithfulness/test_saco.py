from typing import ClassVar

import pytest
import torch

from lit_coiba.backbones.tokens import TokenDropping
from lit_coiba.core.errors import InputError
from lit_coiba.functional import resize_map, salience_faithfulness
from lit_coiba.metrics import SaCo
from tests._testers.counting import Counting
from tests._testers.metrics import SIZE, FaithfulnessTester, uniform
from tests._testers.perturbation import probability
from tests._testers.tiny import vit


def slow_saco(model, images, targets, maps, groups=10):
    """Group by group, and pair by pair, as in algorithm 1 of the paper."""
    model.eval()
    image, map, target = images[0], resize_map(maps, SIZE)[0], int(targets)
    places = sorted(
        ((row, column) for row in range(SIZE[0]) for column in range(SIZE[1])), key=lambda place: -float(map[place])
    )
    clean, color = probability(model, image, target), image.mean((1, 2))
    saliences, drops = [], []
    for group in range(groups):
        part = [place for number, place in enumerate(places) if number * groups // len(places) == group]
        left = image.clone()
        for row, column in part:
            left[:, row, column] = color
        saliences.append(sum(float(map[place]) for place in part) / len(part))
        drops.append(clean - probability(model, left, target))
    signed = whole = 0.0
    for i in range(groups):
        for j in range(i + 1, groups):
            weight = saliences[i] - saliences[j]
            weight = weight if drops[i] >= drops[j] else -weight
            signed, whole = signed + weight, whole + abs(weight)
    return signed / whole


class TestSaCo(FaithfulnessTester):
    metric = SaCo
    oracle = staticmethod(slow_saco)  # 54 pixels in 10 groups: sizes differ by one


class TestSaCoOfFourGroups(FaithfulnessTester):
    metric = SaCo
    arguments: ClassVar = {"groups": 4, "chunk": 5}

    def oracle(self, *inputs):
        return slow_saco(*inputs, groups=4)


@pytest.mark.parametrize(
    ("drops", "expected"), [((0.4, 0.3, 0.2, 0.1), 1), ((0.1, 0.2, 0.3, 0.4), -1), ((0.4, 0.3, 0.1, 0.2), 0.8)]
)
@pytest.mark.parametrize("more", [0, 10])
def test_c1_known_values(drops, expected, more):
    saliences = torch.tensor([[4.0, 3, 2, 1]], dtype=torch.float64) + more
    drops = torch.tensor([drops], dtype=torch.float64)
    assert salience_faithfulness(saliences, drops).item() == pytest.approx(expected, abs=1e-6)


def test_c1_equal_drops_or_saliences_have_no_score():
    descending, level = torch.tensor([[4.0, 3, 2, 1]]), torch.full((1, 4), 0.1)
    assert salience_faithfulness(descending, level).isnan()
    assert salience_faithfulness(level, descending).isnan()
    assert salience_faithfulness(descending, torch.tensor([[torch.nan, 1, 2, 3]])).isnan()
    assert salience_faithfulness(descending, torch.tensor([[0.2, 0.2, 0.1, 0.1]])).item() == 1  # a tie counts as right


def test_a_constant_map_and_a_constant_model_have_no_score():
    model, images, targets, maps = TestSaCo().inputs(2)
    maps[0] = 0.1
    assert SaCo().score(model, images, targets, maps).isnan().tolist() == [True, False]
    assert SaCo().score(lambda images: images.new_ones(len(images), 2), images, None, maps).isnan().all()


def test_it_depends_on_differences_and_on_nothing_else():
    model, images, targets, maps = TestSaCo().inputs(4)
    found = SaCo().score(model, images, targets, maps)
    torch.testing.assert_close(SaCo().score(model, images, targets, 3 * maps + 5), found)
    assert not torch.allclose(SaCo().score(model, images, targets, maps.exp().exp()), found)


def test_forwards_are_those_that_run():
    model, images, targets, maps = TestSaCo().inputs(3)
    counting = Counting(model)
    SaCo().score(counting, images, targets, maps)
    assert counting.images == 11 * 3 == SaCo().forwards(SIZE) * 3


def test_ties_are_grouped_in_reading_order():
    images = torch.tensor([[[[0.4, 0.3, 0.2, 0.1]]]])
    maps = torch.tensor([[[1.0, 0.0, 0.0, 0.0]]])

    def total(images):
        return images.sum((1, 2, 3)).unsqueeze(1)

    assert SaCo(groups=2, baseline="zero", output="logit").score(total, images, None, maps).item() == 1


def test_bad_settings_are_told_in_a_sentence():
    with pytest.raises(InputError, match="groups is 1: give a whole number, 2 or more"):
        SaCo(groups=1)
    model, images, targets, maps = TestSaCo().inputs(1)
    with pytest.raises(InputError, match="groups is 55, but there are 54 pixels: give fewer"):
        SaCo(groups=55).score(model, images, targets, maps)
    with pytest.raises(InputError, match="groups is 55, but images have 6 x 9 pixels: give fewer"):
        SaCo(groups=55).check(SIZE)


def test_the_baseline_is_the_mean_color_also_where_tokens_cannot_be_dropped():
    model, images, targets, maps = TestSaCo().inputs(3)
    found = SaCo().score(model, images, targets, maps)
    assert torch.equal(SaCo(baseline="auto").score(model, images, targets, maps), found)
    assert not torch.equal(SaCo(baseline="zero").score(model, images + 0.3, targets, maps), found)


def test_groups_of_a_vit_are_patches_that_are_dropped():
    model, images, maps = vit(), uniform(2, 3, 32, 32).float(), uniform(2, 4, 4, seed=1).float()
    metric = SaCo(groups=16, baseline="tokens")
    found = metric.score(model, images, None, maps)
    order = maps.flatten(1).argsort(1, descending=True)
    dropping = TokenDropping.of(model)
    with torch.no_grad():
        clean = model(images).softmax(1)
        target = clean.argmax(1, keepdim=True)
        left = [dropping(images, torch.arange(16) != order[:, place, None]).softmax(1) for place in range(16)]
    drops = torch.cat([(clean - one).gather(1, target) for one in left], 1)
    torch.testing.assert_close(found, salience_faithfulness(maps.flatten(1).gather(1, order), drops))
    with pytest.raises(InputError, match="groups is 17, but there are 16 patches: give fewer"):
        SaCo(groups=17, baseline="auto").score(model, images, None, maps)
