"""MeGe and ReCo as metrics: states add up over samples and processes; checks M1 to M7 are tests of the functions."""

import json
import math
import pickle

import pytest
import torch

from lit_coiba.core.errors import InputError
from lit_coiba.functional.representativity import fold_pairs, folds_of, mege, reco
from lit_coiba.metrics import MeGe, ReCo


def inputs(samples=20, models=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(models, samples, 4, 5, generator=generator)
    correct = torch.rand(models, samples, generator=generator) < 0.7
    return maps, correct, folds_of(samples, models)


@pytest.mark.parametrize("distance", ["sqrt", "linear", "l1", "l2", "ssim"])
def test_the_scores_are_those_of_the_functions(distance):
    pairs = fold_pairs(*inputs(), distance)
    for metric, expected in ((MeGe, mege(pairs.equal)), (ReCo, reco(pairs.equal, pairs.unequal))):
        made = metric(distance)
        made.update(*inputs())
        assert made.compute().item() == pytest.approx(expected.item(), abs=1e-15)


@pytest.mark.parametrize("metric", [MeGe, ReCo])
def test_uneven_parts_add_up_to_the_whole(metric):
    maps, correct, fold = inputs()
    whole, first, second, idle = (metric() for _ in range(4))
    whole.update(maps, correct, fold)
    first.update(maps[:, :3], correct[:, :3], fold[:3])
    first.update(maps[:, 3:4], correct[:, 3:4], fold[3:4])
    second.update(maps[:, 4:], correct[:, 4:], fold[4:])
    for other in (second, idle):
        first.merge_state(other)
    assert first.compute().item() == pytest.approx(whole.compute().item(), abs=1e-14)
    assert len(first.distances()[0]) == len(whole.distances()[0])
    assert pickle.loads(pickle.dumps(whole)).compute() == whole.compute()


@pytest.mark.parametrize("metric", [MeGe, ReCo])
@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_without_pairs_there_is_no_score(metric):
    assert metric().compute().isnan()
    maps, _, fold = inputs()
    made = metric()
    made.update(maps, torch.zeros(3, 20, dtype=torch.bool), fold)
    assert made.compute().isnan()


def test_undefined_distances_are_counted():
    maps, correct, fold = inputs()
    correct[:] = True
    maps[0, int((fold == 0).nonzero()[0])] = math.nan
    metric = MeGe()
    metric.update(maps, correct, fold)
    assert metric.undefined == 2  # in two pairs of models
    assert len(metric.distances()[0]) == 38


def test_shapes_that_do_not_fit_are_refused():
    maps, correct, fold = inputs()
    for given, message in (
        ((maps[:1], correct[:1], fold), "two or more models"),
        ((maps, correct.float(), fold), "correct is torch.float32"),
        ((maps, correct[:, 1:], fold), "correct is torch.bool of shape"),
        ((maps, correct, fold[1:]), "fold is torch.int64 of shape"),
        ((maps, correct, fold + 1), "one number from 0 to 2"),
        ((maps, correct, fold.float()), "fold is torch.float32"),
    ):
        with pytest.raises(InputError, match=message):
            ReCo().update(*given)
    with pytest.raises(InputError, match="distance is"):
        MeGe("lpips")
    assert json.dumps(MeGe("l1").distance) == '"l1"'
