import pytest
import torch
from scipy.stats import spearmanr

from lit_coiba.attribution import EdgeDetector
from lit_coiba.core.errors import InputError
from lit_coiba.functional import keyed_noise, uniform
from lit_coiba.metrics import LogitRandomization
from lit_coiba.metrics.explaining import Explained
from tests._testers.explaining import ExplainingTester, LinearModel, darkness, gradient
from tests._testers.metrics import CLASSES
from tests._testers.metrics import uniform as drawn


def another(ids, own):
    """A class that is not the own one, from the id alone."""
    others = [number for number in range(CLASSES) if number != own]
    return others[int(uniform(keyed_noise(0, ids, "another class", (1,))) * len(others))]


def slow(model, images, targets, maps, method, ids):
    own = Explained(model, images, targets, method).clean[0]
    other = Explained(model, images, torch.tensor([another(ids, int(targets))]), method).clean[0]
    return spearmanr(own.abs().flatten(), other.abs().flatten()).statistic


class TestLogitRandomization(ExplainingTester):
    metric = LogitRandomization
    oracle = staticmethod(slow)


class TestSSIM(ExplainingTester):
    metric = LogitRandomization
    arguments = {"similarity": "ssim"}  # noqa: RUF012

    def oracle(self, model, images, targets, maps, method, ids):
        from skimage.metrics import structural_similarity

        own = Explained(model, images, targets, method).clean[0].abs()
        other = Explained(model, images, torch.tensor([another(ids, int(targets))]), method).clean[0].abs()
        return structural_similarity(
            (own / own.max()).numpy(), (other / other.max()).numpy(), win_size=5, data_range=1.0
        )


def test_a_map_that_no_class_decides_scores_one():
    model, images, targets, maps, _, ids = TestLogitRandomization().inputs(4)
    assert LogitRandomization().score(model, images, targets, maps, darkness, ids).tolist() == pytest.approx([1] * 4)


def test_other_classes_are_drawn_evenly_and_never_the_own():
    seen = []

    def watch(model, images, targets):
        seen.append(targets.index)
        return darkness(model, images, targets)

    model, images, _, maps, _, _ = TestLogitRandomization().inputs(300)
    LogitRandomization().score(model, images, 2, maps, watch, [str(i) for i in range(300)])
    counts = torch.cat(seen[1:]).bincount(minlength=CLASSES)
    assert seen[0].tolist() == [2] * 300
    assert counts[2] == 0
    assert counts[[0, 1, 3]].min() > 70


def test_one_class_or_none_is_refused():
    images, maps = drawn(2, 3, 6, 9), drawn(2, 6, 9)
    with pytest.raises(InputError, match="single output"):
        LogitRandomization().score(lambda x: x.mean((1, 2, 3))[:, None], images, 0, maps, gradient)
    assert LogitRandomization().score(LinearModel(), images, 1, maps, gradient).isnan().all()  # class 0 has no gradient
    with pytest.raises(InputError, match="similarity is"):
        LogitRandomization("cosine")
    assert EdgeDetector().card.baseline
