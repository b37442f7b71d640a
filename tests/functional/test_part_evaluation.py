"""The FunnyBirds protocol on small tables, against loops that are written from the definition."""

import math

import pytest
import torch
from scipy.ndimage import maximum_filter
from scipy.stats import spearmanr

from lit_coiba.functional.part_evaluation import (
    deletion_check,
    distractibility,
    important_parts,
    irrelevant_parts,
    is_predicted,
    part_importance,
    part_thresholds,
    preservation,
    single_deletion,
    sufficient_overlap,
    target_sensitivity,
    tells_sharers_apart,
)
from lit_coiba.functional.part_scores import best_threshold, part_scores
from lit_coiba.functional.part_sets import part_subsets

THRESHOLDS = part_thresholds()


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def one_needed_part():
    """A toy model that needs the first of three parts and nothing else, and the map that says so."""
    kept = part_subsets(3)[:, 0].unsqueeze(0)  # of the only image
    importance = torch.tensor([[1.0, 0.0, 0.0]])
    return kept, importance, important_parts(importance, importance.sum(1), THRESHOLDS)


class TestCheck6:
    """Spec of the evaluation of prototypes, check 6."""

    def test_a_perfect_explanation_of_one_needed_part(self):
        kept, importance, important = one_needed_part()
        minimal = torch.zeros(1, 8, dtype=torch.bool)
        minimal[0, 0b001] = True
        for score in (
            sufficient_overlap(important, minimal),
            preservation(kept, important),
            deletion_check(kept, important),
            distractibility(important, torch.tensor([[False, True, True]])),
            single_deletion(torch.tensor([[5.0, 0.0, 0.0]]), importance),
        ):
            assert (score == 1).all()

    def test_an_explanation_of_the_wrong_part_has_nothing(self):
        kept, importance, _ = one_needed_part()
        wrong = importance.flip(1)
        important = important_parts(wrong, wrong.sum(1), THRESHOLDS)
        minimal = torch.zeros(1, 8, dtype=torch.bool)
        minimal[0, 0b001] = True
        assert sufficient_overlap(important, minimal).sum() == 0
        assert preservation(kept, important).sum() == 0
        assert deletion_check(kept, important).sum() == 0
        assert (distractibility(important, torch.tensor([[False, True, True]])) == 0.5).all()

    def test_single_deletion_is_one_in_order_and_zero_in_reversed_order(self):
        drops = torch.tensor([[0.1, 0.7, 0.3, 2.0, 0.5]])
        assert single_deletion(drops, drops.exp()) == 1
        assert single_deletion(drops, -drops) == 0

    def test_aggregates_by_hand(self):
        """Two samples and two thresholds; at the second one the checks are better than distractibility is worse."""
        scores = {
            "csdc": torch.tensor([[0.5, 1.0], [math.nan, math.nan]]),
            "pc": torch.tensor([[0.0, 1.0], [1.0, 1.0]]),
            "dc": torch.tensor([[1.0, 1.0], [0.0, 1.0]]),
            "distractibility": torch.tensor([[1.0, 0.5], [1.0, 0.75]]),
            "accuracy": torch.tensor([1.0, 0.0]),
            "background": torch.tensor([0.5, 1.0]),
            "objects": torch.tensor([4.0, 2.0]),
            "sd": torch.tensor([0.9, math.nan]),
            "ts": torch.tensor([0.5, 1.0]),
        }
        found = part_scores(scores, torch.tensor([0.1, 0.2], dtype=torch.float64), draws=50)
        assert found.threshold == 0.2
        means = {name: getattr(found, name).mean for name in found._fields[1:]}
        completeness = ((1.0 + 1.0 + 1.0) / 3 + 0.625) / 2
        expected = {
            "accuracy": 0.5,
            "background": 4 / 6,  # of all things, not of the samples
            "csdc": 1.0,
            "pc": 1.0,
            "dc": 1.0,
            "distractibility": 0.625,
            "sd": 0.9,
            "ts": 0.75,
            "completeness": completeness,
            "correctness": 0.9,
            "contrastivity": 0.75,
            "overall": (completeness + 0.9 + 0.75) / 3,
        }
        assert means == pytest.approx(expected, abs=1e-7)  # 0.9 is a float32
        assert all(i.low <= i.mean <= i.high for i in found[1:])


def test_thresholds_are_those_of_the_released_code():
    assert len(THRESHOLDS) == 80
    assert THRESHOLDS[[0, -1]].tolist() == [0.01, 0.5]


def test_importance_is_the_sum_over_a_widened_mask():
    maps, masks = draw(2, 9, 7), draw(2, 3, 9, 7, seed=1) > 1.5
    expected = [
        [(map.numpy() * maximum_filter(mask.numpy(), size=5, mode="constant")).sum() for mask in own]
        for map, own in zip(maps, masks)
    ]
    torch.testing.assert_close(part_importance(maps, masks), torch.tensor(expected), rtol=1e-12, atol=1e-12)


def test_important_parts_keep_signs_and_have_more_than_the_share():
    importance = torch.tensor([[2.0, 1.0, -1.0], [-1.0, -3.0, 0.0]])
    found = important_parts(importance, importance.sum(1), torch.tensor([0.5]))
    assert found[:, 0].tolist() == [[True, False, False], [True, False, True]]  # 1 of 2 is no more than half


def test_overlap_preservation_and_deletion_are_those_of_loops():
    important = draw(4, 6, 3) > 0
    minimal, kept = draw(4, 8, seed=1) > 0, draw(4, 8, seed=2) > 0
    minimal[3] = False
    minimal[:, 0] = False
    overlap, keeps, changes = (
        sufficient_overlap(important, minimal),
        preservation(kept, important),
        deletion_check(kept, important),
    )
    for b in range(4):
        for t in range(6):
            chosen = {p for p in range(3) if important[b, t, p]}
            sets = [{p for p in range(3) if s >> p & 1} for s in range(8) if minimal[b, s]]
            best = max((len(s & chosen) / len(s) for s in sets), default=math.nan)
            assert overlap[b, t].item() == pytest.approx(best, nan_ok=True)
            assert keeps[b, t] == kept[b, sum(1 << p for p in chosen)]
            assert changes[b, t] == (not kept[b, sum(1 << p for p in range(3) if p not in chosen)])


def test_classes_that_tie_are_no_prediction():
    logits = torch.tensor([[[2.0, 1.0], [2.0, 2.0], [0.0, 1.0]]])
    assert is_predicted(logits, torch.tensor([0])).tolist() == [[True, False, False]]


def test_irrelevant_is_what_raises_the_score_or_lowers_it_by_less_than_five_percent():
    drops = torch.tensor([[0.49, 0.51, -3.0, 0.0], [0.49, 0.51, -3.0, 0.0]])
    assert irrelevant_parts(drops, torch.tensor([10.0, -10.0])).tolist() == [[True, False, True, True]] * 2


def test_without_irrelevant_parts_there_is_no_distractibility():
    assert distractibility(torch.ones(1, 2, 2, dtype=torch.bool), torch.zeros(1, 2, dtype=torch.bool)).isnan().all()


def test_single_deletion_is_scipys_correlation_also_with_ties():
    drops, importance = draw(20, 5).round(decimals=0), draw(20, 5, seed=1).round(decimals=1)
    drops[0], importance[1, 2] = 1.0, math.nan
    found = single_deletion(drops, importance)
    assert found[:2].isnan().all()
    for i in range(2, 20):
        expected = spearmanr(drops[i], importance[i]).statistic / 2 + 0.5
        assert found[i].item() == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_target_sensitivity_compares_both_classes_and_a_map_of_no_class_has_none():
    parts = torch.tensor([[True, True, False, False], [False, False, True, True]]).expand(3, 2, 4)
    importance = torch.tensor([[3.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.0, 2.0]])
    cases = torch.stack([importance, importance.flip(0), importance[:1].expand(2, 4)])
    assert target_sensitivity(cases, parts).tolist() == [1, 0, 0]
    assert target_sensitivity(torch.full((1, 2, 4), math.nan), parts[:1]).isnan().all()


def test_the_model_must_lose_more_by_the_parts_of_the_class_itself():
    logits = torch.zeros(2, 2)
    without = torch.tensor([[[-2.0, -1.0], [-1.0, -2.0]], [[-1.0, -2.0], [-2.0, -1.0]]])
    assert tells_sharers_apart(logits, without).tolist() == [True, False]


def test_the_first_of_equal_thresholds_is_chosen():
    half = torch.full((4,), 0.5)
    assert best_threshold(half, half, half, torch.tensor([0.1, 0.4, 0.4, 0.2])) == 1


def test_random_importance_scores_a_half():
    """Single deletion and target sensitivity, within three standard errors (of 2,000 samples)."""
    sd = single_deletion(draw(2000, 5), draw(2000, 5, seed=1))
    parts = torch.tensor([[True, True, False, False, False], [False, False, True, True, False]]).expand(2000, 2, 5)
    ts = target_sensitivity(draw(2000, 2, 5, seed=2), parts)
    for score in (sd, ts):
        assert abs(score.mean() - 0.5) < 3 * score.std() / 2000**0.5
