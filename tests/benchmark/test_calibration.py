"""The metrics themselves under test: which verdict scores of known maps lead to."""

import math

import torch

from lit_coiba.benchmark import Leaderboard
from lit_coiba.benchmark.calibration import (
    CONSTANT,
    ORACLE,
    RANDOM,
    ConstantSource,
    DegradedSource,
    calibration_sources,
    verdicts,
)
from lit_coiba.benchmark.sources import MethodSource, RegionSource
from lit_coiba.modules.scorer import Source

ROWS = [ORACLE, "worse", RANDOM, CONSTANT]


class Counted(Source):
    """A map of 4 x 4 different cells for each id."""

    identity = "counted"

    def maps(self, network, images, ids, targets):
        return torch.arange(16.0).view(1, 4, 4).expand(len(ids), -1, -1).contiguous()


class Unknown:
    known = False


class Known:
    known = True


def board(higher=True, **means):
    noise = torch.randn(200, generator=torch.Generator().manual_seed(0)).double() / 100
    scores = {row: {m: noise.roll(k) + values[k] for m, values in means.items()} for k, row in enumerate(ROWS)}
    return Leaderboard(scores, RANDOM, higher=dict.fromkeys(means, higher))


def test_a_metric_passes_where_the_oracle_is_first_and_a_random_map_last():
    found = verdicts(board(good=(1, 0.5, 0, 0.2)))["good"]
    assert found.passed
    assert found.word == "passed"
    assert (round(found.oracle, 2), round(found.random, 2), round(found.constant, 2)) == (1, 0, 0.2)
    assert verdicts(board(higher=False, cost=(0, 0.5, 1, 0.2)))["cost"].passed


def test_a_broken_metric_fails():
    found = verdicts(board(upside_down=(0, 0.5, 1, 0), uneven=(1, 0, 0.5, 0), blind=(0, 0, 0, 0)))
    assert found["upside_down"].word == "failed: first, last, ordered"
    assert found["uneven"].word == "failed: last, ordered"
    assert not found["blind"].passed


def test_what_has_no_better_or_no_score_has_no_verdict():
    assert verdicts(board(higher=None, free=(1, 0.5, 0, 0))) == {}
    assert verdicts(board(undefined=(math.nan,) * 4)) == {}


def test_worse_oracles_have_a_share_of_their_cells_moved():
    source, ids = Counted({}), ["a", "b"]
    for share in (0.25, 0.5, 1.0):
        maps = DegradedSource(source, share).maps(None, torch.zeros(2, 3, 8, 8), ids, torch.zeros(2))
        assert torch.equal(maps.flatten(1).sort(1).values[0], torch.arange(16.0))  # nothing is lost
        assert 0 < (maps != source.maps(None, None, ids, None)).sum((1, 2)).max() <= 16 * share
        assert not torch.equal(maps[0], maps[1])
        alone = DegradedSource(source, share).maps(None, torch.zeros(1, 3, 8, 8), ["b"], torch.zeros(1))
        assert torch.equal(alone[0], maps[1])  # a function of the id


def test_the_oracle_is_measured_where_no_region_is_known():
    measured, known = (calibration_sources({}, regions, (32, 32)) for regions in (Unknown(), Known()))
    assert isinstance(measured[ORACLE], MethodSource)
    assert measured[ORACLE].settings["class"].endswith("Occlusion")
    assert isinstance(known[ORACLE], RegionSource)
    assert list(known) == [ORACLE, *(f"Oracle, {n}% shuffled" for n in (25, 50, 75)), RANDOM, CONSTANT]
    constant = ConstantSource({}).maps(None, torch.zeros(2, 3, 8, 8), ["a", "b"], None)
    assert constant.unique().tolist() == [1]
