import json
from typing import ClassVar

import pytest
import torch
from torch import nn

from lit_coiba.backbones import Backbone
from lit_coiba.backbones.missing_parts import tell_missing_parts
from lit_coiba.callbacks.export_weights import save_half
from lit_coiba.core.errors import InputError
from lit_coiba.functional import keyed_noise, removal_probability, resize_map, uniform
from lit_coiba.metrics import FFidelity
from tests._testers.counting import Counting
from tests._testers.metrics import SIZE, FaithfulnessTester
from tests._testers.metrics import uniform as drawn
from tests._testers.perturbation import probability
from tests._testers.tiny import resnet, vit

KNOWN = {"clean_accuracy": 0.9, "missing_accuracy": 0.9}
FEW = {**KNOWN, "draws": 3, "sizes": (10.0, 50.0)}


def slow_f_fidelity(model, images, targets, maps, sizes=(10, 50), draws=3, alpha=0.5, beta=0.1):
    """Set by set and draw by draw; ids are those of a metric that is given none."""
    model.eval()
    map, target, total = resize_map(maps, SIZE)[0].flatten(), int(targets), 0.0
    order = sorted(range(len(map)), key=lambda place: -float(map[place]))
    for size in sizes:
        count = round(size / 100 * len(order))
        chance = min(alpha, beta * len(order) / count)
        for sign, chosen in ((1, order[:count]), (-1, order[-count:])):
            for draw in range(draws):
                numbers = uniform(keyed_noise(0, [""], f"removed {draw}", SIZE))[0].flatten()
                left = images[0].clone().flatten(1)
                for place in chosen:
                    if numbers[place] < chance:
                        left[:, place] = 0
                total += sign * (
                    probability(model, images[0], target) - probability(model, left.view(3, *SIZE), target)
                )
    return total / draws / len(sizes)


class TestFFidelity(FaithfulnessTester):
    metric = FFidelity
    arguments: ClassVar = {**FEW, "chunk": 7}
    oracle = staticmethod(slow_f_fidelity)


class TestFFidelityOfOtherShares(FaithfulnessTester):
    metric = FFidelity
    arguments: ClassVar = {**KNOWN, "draws": 2, "sizes": (5.0, 30.0, 95.0), "alpha": 0.9, "beta": 0.4}

    def oracle(self, *inputs):
        return slow_f_fidelity(*inputs, sizes=(5, 30, 95), draws=2, alpha=0.9, beta=0.4)


class Additive(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(drawn(3, *size, seed=7) - 0.3)

    def forward(self, images):
        score = (self.weight * images).sum((1, 2, 3))
        return torch.stack([score, -score], 1)


def test_f1_of_a_linear_model_it_is_the_probability_times_the_contributions():
    model, images = Additive((10, 10)), drawn(2, 3, 10, 10, seed=3)
    contributions = (model.weight * images).sum(1).detach()
    metric = FFidelity(**KNOWN, output="logit", draws=200)
    drops = metric.drops(model, images, torch.zeros(2).long(), contributions)
    for number, size in enumerate(metric.sizes):
        count = round(size)
        chance = removal_probability(0.5, 0.1, 100, count)
        ordered = contributions.flatten(1).sort(1, descending=True).values
        for part, expected in ((0, ordered[:, :count]), (1, ordered[:, -count:])):
            found = drops[:, part, number]
            error = found.std(1) / 200**0.5
            assert (abs(found.mean(1) - chance * expected.sum(1)) <= 4 * error).all()


def test_f1_the_probability_is_capped():
    assert removal_probability(0.5, 0.1, 100, 50) == 0.2
    assert removal_probability(0.5, 0.1, 100, 20) == 0.5
    model, images = nn.Sequential(nn.Flatten()), torch.ones(1, 1, 20, 20)
    missing = []

    def watched(images):
        missing.append((images == 0).flatten(1).double().mean(1))
        return model(images)

    FFidelity(**KNOWN, draws=40).score(watched, images, torch.zeros(1).long(), drawn(1, 20, 20))
    shares = torch.cat(missing)
    assert shares.max() < 0.17  # a share of .1 in expectation, with a standard deviation of .015
    assert abs(shares.max() - 0.1) < 0.07


def test_f2_it_falls_as_an_oracle_is_spoilt():
    model, images = Additive((8, 8)), drawn(12, 3, 8, 8, seed=3)
    oracle = (model.weight * images).sum(1).detach()
    places = oracle.flatten(1).argsort(1).argsort(1).double()
    means = []
    for share in (0.0, 0.3, 0.7, 1.0):  # of the order that is shuffled
        spoilt = places.clone()
        for row in range(12):
            generator = torch.Generator().manual_seed(row)
            some = torch.randperm(64, generator=generator)[: int(share * 64)]
            spoilt[row, some] = spoilt[row, some[torch.randperm(len(some), generator=generator)]]
        metric = FFidelity(**KNOWN, output="logit", draws=5)
        metric.update(model, images, torch.zeros(12).long(), spoilt.view(12, 8, 8))
        means.append(metric.compute().item())
    assert means == sorted(means, reverse=True)
    assert means[0] > 2 * abs(means[-1])


def test_f3_all_channels_of_a_pixel_are_removed():
    seen = []

    def watched(images):
        seen.append(images)
        return images.flatten(1)[:, :4]

    FFidelity(**FEW).score(watched, 1 + drawn(1, 3, *SIZE), torch.zeros(1).long(), drawn(1, *SIZE))
    gone = torch.cat(seen) == 0
    assert gone.any()
    assert torch.equal(gone.any(1), gone.all(1))


def test_curves_and_the_standard_error_of_the_draws():
    model, images, targets, maps = TestFFidelity().inputs(4)
    maps[2] = torch.nan
    metric = FFidelity(**FEW)
    drops = metric.drops(model, images, targets, maps)
    assert drops.shape == (4, 2, 2, 3)
    metric.update(model, images[:1], targets[:1], maps[:1])
    metric.update(model, images[1:], targets[1:], maps[1:])
    known = drops[[0, 1, 3]]
    torch.testing.assert_close(metric.mean_curves(), known.mean((0, 3)))
    assert metric.compute().item() == pytest.approx((metric.mean_curves()[0] - metric.mean_curves()[1]).mean().item())
    scores = (known[:, 0] - known[:, 1]).mean(1)  # of each draw
    error = (scores.var(1) / 3).sum().sqrt() / 3
    assert metric.standard_error().item() == pytest.approx(error.item())
    assert FFidelity(**{**FEW, "draws": 1}).standard_error().isnan()


def test_correct_counts_what_is_predicted():
    model, images, _, maps = TestFFidelity().inputs(4)
    drops = FFidelity(**FEW, output="correct").drops(model, images, None, maps)
    assert set(drops.flatten().tolist()) <= {0.0, 1.0}
    others = FFidelity(**FEW, output="correct").drops(model, images, (model.eval()(images).argmin(1)), maps)
    assert set(others.flatten().tolist()) <= {0.0, -1.0}


def test_forwards_are_those_that_run():
    model, images, targets, maps = TestFFidelity().inputs(2)
    counting = Counting(model)
    FFidelity(**FEW).score(counting, images, targets, maps)
    assert counting.images == 2 * 13 == 2 * FFidelity(**FEW).forwards(SIZE)
    assert FFidelity().forwards(SIZE) == 1901


def test_the_surrogate_scores_and_the_original_chooses(tmp_path):
    original, surrogate = vit(), vit()
    with torch.no_grad():
        surrogate.model.head.bias += 0.5 * torch.arange(10.0)
    file = tmp_path / "surrogate.safetensors"
    told = {"part": "pixels", "amount": 0.1, "baseline": "zero", "clean": 0.9, "missing": 0.89}
    save_half(surrogate.model, file, {"backbone": surrogate.arguments, "missing_parts": told})
    images, maps = drawn(2, 3, 32, 32).float(), drawn(2, 8, 8, seed=1).float()
    few = {"draws": 2, "sizes": (20.0, 60.0)}
    metric = FFidelity(surrogate=str(file), **few)
    counting = Counting(original)
    found = metric.score(counting, images, None, maps)
    assert counting.images == 2  # to choose the class
    chosen = original(images).argmax(1)
    tuned = Backbone.load(file)
    assert torch.equal(found, FFidelity(**few).score(tuned, images, chosen, maps))
    assert not torch.allclose(found, FFidelity(**few, **KNOWN).score(original, images, chosen, maps))
    assert metric.identity()["surrogate"] == tuned.digest()
    assert FFidelity(**few).identity()["surrogate"] is None
    assert json.loads(json.dumps(metric.settings()))["surrogate"] == str(file)


def test_a_surrogate_that_loses_too_much_is_refused_in_a_sentence():
    model, images, maps = vit(), drawn(1, 3, 32, 32).float(), drawn(1, 8, 8).float()
    recipe = "train it further with -c configs/experiment/f_fidelity.yaml"
    with pytest.raises(InputError, match=f"10% of the pixels missing .zero., and .* not known of this one: {recipe}"):
        FFidelity().score(model, images, None, maps)
    told = {"part": "pixels", "amount": 0.1, "baseline": "zero", "clean": 0.9, "missing": 0.8}
    tell_missing_parts(model.model, told)
    with pytest.raises(InputError, match=r"within 2 points, and this one has 80.0% against 90.0%"):
        FFidelity().score(model, images, None, maps)


def test_auto_asks_for_what_it_came_to():
    model, images, maps = resnet(), drawn(1, 3, 64, 64).float(), drawn(1, 8, 8).float()
    told = {"part": "pixels", "amount": 0.1, "baseline": "zero", "clean": 0.9, "missing": 0.9}
    tell_missing_parts(model.model, told)
    few = {"draws": 1, "sizes": (20.0,)}
    found = FFidelity(baseline="auto", **few).score(model, images, None, maps)
    assert torch.equal(found, FFidelity(**few).score(model, images, None, maps))
    transformer = vit()
    tell_missing_parts(
        transformer.model, {"part": "pixels", "amount": 0.1, "baseline": "zero", "clean": 0.9, "missing": 0.9}
    )
    with pytest.raises(InputError, match=r"10% of the pixels missing \(tokens\), and .* not known of this one, but"):
        FFidelity(baseline="auto", **few).score(transformer, drawn(1, 3, 32, 32).float(), None, maps)


def test_patches_of_a_vit_can_be_dropped():
    model, images, maps = vit(), drawn(2, 3, 32, 32).float(), drawn(2, 4, 4, seed=1).float()
    few = {**KNOWN, "draws": 4, "sizes": (25.0, 50.0), "beta": 0.25}
    dropped = FFidelity(**few, baseline="tokens").score(model, images, None, maps)
    assert dropped.isfinite().all()
    assert torch.equal(FFidelity(**few, baseline="auto").score(model, images, None, maps), dropped)


def test_draws_depend_on_seed_and_id_alone():
    model, images, targets, maps = TestFFidelity().inputs(2)
    found = FFidelity(**FEW).score(model, images, targets, maps, ("a", "b"))
    swapped = FFidelity(**FEW).score(model, images.flip(0), targets.flip(0), maps.flip(0), ("b", "a"))
    torch.testing.assert_close(swapped.flip(0), found)
    assert not torch.allclose(FFidelity(**FEW, seed=1).score(model, images, targets, maps, ("a", "b")), found)


def test_bad_settings_are_told_in_a_sentence():
    with pytest.raises(InputError, match="alpha is 0: give a share above 0 and up to 1"):
        FFidelity(alpha=0)
    with pytest.raises(InputError, match=r"sizes is \[100.0\]: give some above 0 and below 100"):
        FFidelity(sizes=(100.0,))
    with pytest.raises(InputError, match="draws is 0: give a whole number, 1 or more"):
        FFidelity(draws=0)
