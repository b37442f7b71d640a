"""Importance against functions whose Sobol indices are known (checks 1, 4 and 8 of the specification)."""

import pytest
import torch

from lit_coiba.concepts import image_importance
from lit_coiba.concepts.importance import class_importance
from lit_coiba.core.errors import InputError

WEIGHTS = torch.tensor([[3.0, -2.0, 1.0, 0.0, 0.5], [0.1, 0.1, 0.1, 5.0, 0.0]], dtype=torch.float64)


def additive(masks):
    return 7.0 + (masks.double() * WEIGHTS).sum(-1)


def ishigami(masks):
    x = (2 * masks.double() - 1) * torch.pi
    return x[..., 0].sin() + 7 * x[..., 1].sin() ** 2 + 0.1 * x[..., 2] ** 4 * x[..., 0].sin()


@pytest.mark.parametrize("estimator", ["jansen", "janon", "saltelli"])
def test_estimates_agree_with_the_closed_form_where_the_score_is_additive(estimator):
    exact = image_importance(additive, WEIGHTS)
    squares = WEIGHTS.square()
    torch.testing.assert_close(exact.total, squares / squares.sum(1, keepdim=True))
    assert exact.additive.all()
    estimated = image_importance(additive, WEIGHTS, 1024, estimator, closed_form=False)
    assert not estimated.additive.any()
    assert (estimated.total - exact.total).abs().max() < 0.05
    assert (estimated.total.sum(1) - 1).abs().max() < 0.05


def test_the_default_design_is_good_for_many_concepts():
    weights = torch.randn(1, 25, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    exact = image_importance(lambda masks: (masks.double() * weights).sum(-1), weights).total
    found = image_importance(lambda masks: (masks.double() * weights).sum(-1), weights, closed_form=False).total
    assert (found - exact).abs().max() < 0.02
    assert abs(found.sum() - 1) < 0.05


def test_ishigami():
    expected = torch.tensor([[0.5576, 0.4424, 0.2437]], dtype=torch.float64)
    found = image_importance(ishigami, torch.zeros(8, 3), 1024)  # eight scramblings
    assert not found.additive.any()
    errors = (found.total - expected).abs().amax(1)
    assert errors.median() < 0.01
    assert (errors < 0.02).sum() >= 7  # a scrambling may be unlucky
    assert errors.max() < 0.03


def test_the_closed_form_is_used_for_those_images_alone_where_it_holds():
    def score(masks):
        masks = masks.double()
        return torch.stack([7 + masks[:, 0] @ WEIGHTS[0], masks[:, 1, 0] * masks[:, 1, 1]], 1)

    contributions = torch.stack([WEIGHTS[0], torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0], dtype=torch.float64)])
    found = image_importance(score, contributions)
    assert found.additive.tolist() == [True, False]
    torch.testing.assert_close(found.total[0], WEIGHTS[0].square() / WEIGHTS[0].square().sum())
    assert found.total[1, :2].sum() > 1.05  # they interact
    assert (found.total[1, 2:] == 0).all()


def test_a_score_that_no_concept_changes_has_zeros():
    for closed_form in (True, False):
        found = image_importance(lambda masks: torch.full((len(masks), 2), 3.0), torch.zeros(2, 4), 32, seed=1)
        assert torch.equal(found.total, torch.zeros(2, 4, dtype=torch.float64)), closed_form


def test_the_seed_decides():
    one, again, other = (image_importance(ishigami, torch.zeros(1, 3), 64, seed=seed).total for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    both = image_importance(ishigami, torch.zeros(2, 3), 64, seed=1, numbers=[5, 0]).total
    torch.testing.assert_close(both[1], one[0], rtol=1e-12, atol=1e-12)  # whatever it is beside
    assert not torch.equal(both[0], one[0])


def test_over_images():
    total = torch.tensor([[0.8, 0.2], [0.4, 0.6]])
    found = class_importance(
        total, torch.tensor([[1.0, -2.0], [3.0, 0.0]]), torch.tensor([[4.0, -1.0], [2.0, 0.0]]), torch.tensor([1, 0])
    )
    torch.testing.assert_close(found.total, torch.tensor([0.6, 0.4], dtype=torch.float64))
    torch.testing.assert_close(found.standard_error, torch.tensor([0.2, 0.2], dtype=torch.float64))
    torch.testing.assert_close(found.share, torch.tensor([1.2, -0.2], dtype=torch.float64))
    assert found.sign.tolist() == [1, -1]
    assert found.derivative.tolist() == [2, -1]
    assert (found.images, found.exact) == (2, 0.5)
    alone = class_importance(total[:1], total[:1], 0 * total[:1], torch.tensor([True]))
    assert alone.standard_error.isnan().all()
    assert alone.share.tolist() == [0, 0]


def test_bad_designs_are_refused():
    with pytest.raises(InputError, match="n_samples is 100: give a power of two, such as 128"):
        image_importance(additive, WEIGHTS, 100)
    with pytest.raises(InputError, match="estimator is 'homma'"):
        image_importance(additive, WEIGHTS, estimator="homma")
