"""Where the truth is known, the true map scores best and a random one worst, and a spoilt one between them."""

import pytest

from lit_coiba.backbones import Backbone
from lit_coiba.metrics import IDSDS, PIC, ROAD, SDS, AverageDrop, FFidelity, SaCo
from lit_coiba.resources import resource
from tests.metrics.test_known_truth import scene  # noqa: F401 - a fixture

METRICS = [
    *(SDS(), SaCo(), ROAD(percentages=(20.0, 50.0)), PIC(thresholds=(2.0, 10.0, 34.0))),
    FFidelity(clean_accuracy=1.0, missing_accuracy=1.0, draws=2, sizes=(10.0, 30.0)),
]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: type(metric).__name__)
def test_o1_the_oracle_wins(scene, metric):  # noqa: F811
    model, images, _, maps = scene
    oracle_wins(metric, model, images, maps)


def test_o1_the_oracle_wins_in_distribution(scene):  # noqa: F811
    """On the network that was trained with one cell missing."""
    _, images, _, maps = scene
    oracle_wins(IDSDS(), Backbone.load(resource("checkpoints/synthetic_parts_cnn_one_cell.safetensors")), images, maps)


def test_average_drop_prefers_the_oracle_less_clearly(scene):  # noqa: F811
    """Its masked images are dark but for the map, and far from those of training."""
    model, images, _, maps = scene
    oracle, random = (AverageDrop().score(model, images, None, maps[name]).mean() for name in ("oracle", "random"))
    assert oracle < random - 10


def oracle_wins(metric, model, images, maps):
    found = {name: metric.score(model, images, None, map) for name, map in maps.items()}
    sign = 1 if metric.higher_is_better else -1
    means = {name: sign * scores.nanmean().item() for name, scores in found.items()}
    difference = sign * (found["oracle"] - found["random"])
    difference = difference[~difference.isnan()]
    assert difference.mean() > 3 * difference.std() / len(difference) ** 0.5
    assert means["oracle"] >= means["half"] - 0.02 * abs(means["oracle"])
    assert means["half"] > means["random"]
