"""Where the truth is known, the true map scores best and a random one worst, and a spoilt one between them."""

import pytest

from lit_coiba.metrics import ROAD, SDS, FFidelity, SaCo
from tests.metrics.test_known_truth import scene  # noqa: F401 - a fixture

METRICS = [SDS(), SaCo(), ROAD(), FFidelity(clean_accuracy=1.0, missing_accuracy=1.0, draws=2, sizes=(10.0, 30.0))]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: type(metric).__name__)
def test_o1_the_oracle_wins(scene, metric):  # noqa: F811
    model, images, _, maps = scene
    found = {name: metric.score(model, images, None, map) for name, map in maps.items()}
    sign = 1 if metric.higher_is_better else -1
    means = {name: sign * scores.nanmean().item() for name, scores in found.items()}
    difference = sign * (found["oracle"] - found["random"])
    difference = difference[~difference.isnan()]
    assert difference.mean() > 3 * difference.std() / len(difference) ** 0.5
    assert means["oracle"] >= means["half"] - 0.02
    assert means["half"] > means["random"]
