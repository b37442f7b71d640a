"""A family that the package does not know is scored like the others, with no change to the package."""

from typing import ClassVar

import pytest
import torch

from lit_coiba.core.batch import Batch
from lit_coiba.core.errors import InputError
from lit_coiba.metrics import EnergyPointing, Insertion, Metric, MetricCard, PointingGame
from lit_coiba.metrics.prototypes.stability import Stability
from lit_coiba.modules.scorer import Scorer, Source
from tests._testers.tiny import resnet

IDS = ("a", "b", "c")


class Complexity(Metric):
    """Share of a map's places that lie above its mean: maps alone."""

    card = MetricCard("complexity", "", False, "0 to 1", "none", "the map is not finite")
    higher_is_better = card.higher_is_better

    def score(self, maps):
        values = maps.flatten(1)
        return (values > values.mean(1, keepdim=True)).float().mean(1)


class Named(Metric):
    """1 where the sample's id is on a list: the ids."""

    needs: ClassVar = ("ids",)

    def __init__(self, names=("a",), keep_samples=False):
        super().__init__(keep_samples)
        self.names = names

    def score(self, ids):
        return torch.tensor([float(name in self.names) for name in ids])


class Randomised(Complexity):
    """Needs what no store has."""

    needs: ClassVar = ("maps", "generator")


class Ramps(Source):
    """Maps that are the class at one place, else 0."""

    identity = "ramps"

    def maps(self, network, images, ids, targets):
        maps = torch.zeros(len(ids), 2, 2)
        maps[:, 0, 0] = 1.0 + targets
        return maps


class Left:
    """The left half of every image but those of `unknown`."""

    def __init__(self, unknown=()):
        self.unknown = unknown

    known = property(lambda self: IDS[0] not in self.unknown)

    def of(self, sample):
        mask = torch.zeros(64, 64, dtype=torch.bool)
        mask[:, :32] = True
        return None if sample in self.unknown else mask


def scored(metrics, regions):
    scorer = Scorer(resnet(), metrics)
    scorer.sources, scorer.regions = {"ramps": Ramps({"a": [0, 1], "c": [1]})}, regions
    size = scorer.preprocessing.size
    batch = Batch(torch.rand(3, 3, *size), IDS, torch.tensor([0, 1, 2]), 0)
    return scorer.predict_step(batch).stores["ramps"]


def test_families_of_the_users_own_are_scored():
    block = scored({"spread": Complexity(), "named": Named(), "insertion": Insertion(steps=2)}, Left())
    assert block.ids == ("a", "a", "c")
    assert block.extras["spread"].tolist() == [0.25, 0.25, 0.25]
    assert block.extras["named"].tolist() == [1.0, 1.0, 0.0]
    assert block.extras["insertion"].isfinite().all()


def test_what_is_not_known_of_any_sample_of_a_block_leaves_its_metrics_undefined():
    block = scored({"energy": EnergyPointing(), "spread": Complexity()}, Left(unknown=IDS))
    assert block.extras["energy"].isnan().tolist() == [True, True, True]
    assert block.extras["spread"].isfinite().all()


def test_what_is_not_known_of_some_leaves_the_others_defined():
    block = scored({"energy": EnergyPointing()}, Left(unknown=("a",)))
    assert block.extras["energy"].isnan().tolist() == [True, True, False]


def test_the_scorer_says_beforehand_what_cannot_be_measured():
    scorer = Scorer(resnet(), {"where": PointingGame(), "spread": Complexity()})
    scorer.check_metrics(Left())
    with pytest.warns(UserWarning, match="metrics: where need boxes or masks of the objects"):
        scorer.check_metrics(Left(unknown=IDS))
    Scorer(resnet()).check_metrics(Left(unknown=IDS))  # nobody asked for the metrics of regions: the table says it


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (Randomised(), "metrics: spread needs generator, which explanations in a store do not come with"),
        (Stability(torch.zeros(2, 1)), "metrics: spread is a Stability, which does not score explanations"),
    ],
)
def test_a_metric_that_needs_what_no_store_has_is_refused(metric, message):
    with pytest.raises(InputError, match=message):
        Scorer(resnet(), {"spread": metric})


def test_a_class_that_the_model_does_not_have_is_refused():
    scorer = Scorer(resnet(), {"spread": Complexity()})
    scorer.sources, scorer.regions = {"ramps": Ramps({"a": [10_000]})}, Left()
    batch = Batch(torch.rand(3, 3, *scorer.preprocessing.size), IDS, torch.zeros(3, dtype=torch.long), 0)
    with pytest.raises(InputError, match="has class 10000, but the model's classes are"):
        scorer.predict_step(batch)
