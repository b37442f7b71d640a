"""Metrics of removal with missing tokens: against forwards of single images with masked keys."""

import itertools
import statistics

import pytest
import torch
from scipy.stats import pearsonr, spearmanr

from lit_coiba.backbones.tokens import TokenDropping
from lit_coiba.core.errors import InputError
from lit_coiba.functional import keyed_orders, keyed_subsets
from lit_coiba.metrics import (
    ROMS,
    SRG,
    Degradation,
    FaithfulnessCorrelation,
    Infidelity,
    MuFidelity,
    SensitivityN,
)
from tests._testers import tiny
from tests._testers.metrics import uniform

PIXELS = 64  # of a patch


@pytest.fixture
def scene():
    return tiny.vit(depth=2).double(), tiny.images(3, (32, 32)).double(), torch.arange(3), uniform(3, 4, 4)


class One:
    """The score of one image without some of its 16 patches, which are masked and not left out."""

    def __init__(self, scene, row, output="logit"):
        model, images, targets, maps = scene
        self.dropping, self.output = TokenDropping.of(model), output
        self.tokens, self.target = self.dropping.embed(images[row : row + 1]), targets[row]
        self.values = maps[row].flatten().tolist()

    @torch.no_grad()
    def without(self, patches):
        kept = torch.tensor([[place not in patches for place in range(16)]])
        logits = self.dropping.run(self.tokens, kept, masked=True)[0]
        return (logits if self.output == "logit" else logits.softmax(0))[self.target].item()

    def pairs(self, subsets):
        """What the map says of subsets, and what they cost."""
        told = [PIXELS * sum(self.values[place] for place in subset) for subset in subsets]
        return told, [self.without(()) - self.without(subset) for subset in subsets]


def first(places, size):
    return [[unit for unit, place in enumerate(order) if place < size] for order in places.tolist()]


def members(subsets):
    return [subset.nonzero()[:, 0].tolist() for subset in subsets]


def slow_mu_fidelity(scene, row):
    told, lost = One(scene, row).pairs(members(keyed_subsets(0, [""], "mu_fidelity", (15, 16), 0.2)[0]))
    return spearmanr(torch.tensor(told).round(decimals=9), torch.tensor(lost).round(decimals=9)).statistic


def slow_correlation(scene, row):
    return pearsonr(*One(scene, row).pairs(first(keyed_orders(0, "", "faithfulness_correlation", 15, 16), 5))).statistic


def slow_sensitivity(scene, row):
    places, one = keyed_orders(0, "", "sensitivity_n", 15, 16), One(scene, row)
    return statistics.mean(pearsonr(*one.pairs(first(places, size))).statistic for size in (1, 3, 12))


def slow_infidelity(scene, row):
    told, lost = One(scene, row).pairs(members(keyed_subsets(0, [""], "infidelity", (6, 16), 0.2)[0]))
    return statistics.mean((a - b) ** 2 for a, b in zip(told, lost))


def slow_area(one, order):
    scores = [one.without(order[:count]) for count in range(17)]
    return sum((a + b) / 32 for a, b in itertools.pairwise(scores))


def slow_gain(scene, row):
    one = One(scene, row, "prob")
    order = sorted(range(16), key=lambda place: -one.values[place])
    return slow_area(one, order[::-1]) - slow_area(one, order)


def slow_roms(scene, row):
    one, places = One(scene, row, "prob"), keyed_orders(0, "", "roms", 1, 16)[0].tolist()
    return slow_area(one, sorted(range(16), key=places.__getitem__))


METRICS = {
    "mu_fidelity": (MuFidelity, {"grid_size": 4, "subsets": 15}, slow_mu_fidelity),
    "faithfulness_correlation": (FaithfulnessCorrelation, {"removed": 5, "subsets": 15}, slow_correlation),
    "sensitivity_n": (SensitivityN, {"levels": 3, "subsets": 15}, slow_sensitivity),
    "infidelity": (Infidelity, {"perturbation": "removal", "grid_size": 4, "draws": 6}, slow_infidelity),
    "srg": (SRG, {"grid_size": 4}, slow_gain),
    "degradation": (Degradation, {}, slow_gain),
    "roms": (ROMS, {"grid_size": 4, "levels": 16}, slow_roms),
}


@pytest.mark.parametrize("name", METRICS)
def test_scores_are_those_of_masked_keys(scene, name):
    metric, arguments, oracle = METRICS[name]
    inputs = scene[:3] if metric is ROMS else scene
    found = metric(baseline="tokens", **arguments).score(*inputs)
    assert found.tolist() == pytest.approx([oracle(scene, row) for row in range(3)], rel=1e-7, abs=1e-9)
    assert torch.equal(metric(baseline="auto", **arguments).score(*inputs), found)
    alone = metric(baseline="tokens", **arguments).score(
        *(value[1:2] if value is not scene[0] else value for value in inputs)
    )
    torch.testing.assert_close(alone, found[1:2], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", METRICS)
def test_auto_is_zeros_where_tokens_cannot_be_dropped(name):
    metric, arguments, _ = METRICS[name]
    arguments = {"tile": 16, **arguments} if metric is Degradation else {"grid_size": 4, **arguments}
    inputs = [tiny.resnet(), tiny.images(2, (64, 64)), None, uniform(2, 4, 4).float()]
    inputs = inputs[:3] if metric is ROMS else inputs
    found = metric(baseline="auto", **arguments).score(*inputs)
    assert torch.equal(found, metric(baseline="zero", **arguments).score(*inputs))
    with pytest.raises(InputError, match="tokens"):
        metric(baseline="tokens", **arguments).score(*inputs)


@pytest.mark.parametrize("name", METRICS)
def test_a_model_that_pools_patches_has_scores(name):
    metric, arguments, _ = METRICS[name]
    inputs = [tiny.vit(depth=2, global_pool="avg").double(), tiny.images(2, (32, 32)).double(), None, uniform(2, 4, 4)]
    inputs = inputs[:3] if metric is ROMS else inputs
    assert metric(baseline="tokens", **arguments).score(*inputs).isfinite().all()


def test_without_a_fully_degraded_image_nothing_is_normalized(scene):
    metric = Degradation(baseline="tokens")
    metric.update(tiny.vit(depth=2, global_pool="avg").double(), *scene[1:])
    assert metric.compute().isnan()
    assert (metric.total / metric.count).isfinite()


def test_the_usual_grids_split_no_patch(scene):
    for metric in (SRG(baseline="tokens"), MuFidelity(baseline="tokens"), Degradation(baseline="tokens")):
        assert metric.score(*scene).isfinite().all()
    assert ROMS(baseline="tokens").score(*scene[:3]).isfinite().all()


def test_what_splits_patches_is_refused(scene):
    with pytest.raises(InputError, match="tile is 12, which splits the model's patches of 8 x 8 pixels"):
        Degradation(baseline="tokens", tile=12).score(*scene)
    with pytest.raises(InputError, match="grid_size is 3 x 3, which splits patches"):
        MuFidelity(baseline="tokens", grid_size=3).score(*scene)
    with pytest.raises(InputError, match="choose segments grid"):
        SRG(baseline="auto", segments="slic").score(*scene)
