from typing import ClassVar

import pytest
import torch

from lit_coiba.attribution import RISE
from lit_coiba.core.errors import InputError
from lit_coiba.functional import random_cells, shifted_masks
from tests._testers import tiny
from tests._testers.analytic import network
from tests._testers.methods import CopiesTester, StateTester
from tests._testers.model_state import assert_near
from tests._testers.perturbation import class_scores


class TestRISE(CopiesTester, StateTester):
    method = RISE
    arguments: ClassVar = {"grid_size": 3, "n_samples": 8}
    evaluations = (8, 0)

    @pytest.mark.parametrize("normalization", ["expected", "coverage"])
    def test_it_is_the_mean_mask_weighted_by_scores(self, model, normalization):
        model = model.double()
        images, targets = self.inputs(model, 2)
        kept, shifts = random_cells(0, 8, 3, 0.5)
        masks = shifted_masks(kept.double(), shifts, images.shape[-2:])
        maps = self.build(model, normalization=normalization, output="prob").explain(model, images, targets).maps
        for image, target, found in zip(images, targets, maps):
            total, shown = torch.zeros_like(masks[0]), torch.zeros_like(masks[0])
            for mask in masks:
                with torch.no_grad():
                    score = class_scores(model((image * mask)[None]), target[None], "prob")
                total, shown = total + score * mask, shown + mask
            expected = total / (8 * 0.5) if normalization == "expected" else (total / shown).nan_to_num()
            assert_near(found, expected, 1e-9)

    def test_a_constant_score_has_the_map_of_the_masks(self, model):
        images, targets = self.inputs(model, 2)
        with torch.no_grad():
            model.model.get_classifier().weight.zero_()
            model.model.get_classifier().bias.fill_(2.0)
        kept, shifts = random_cells(0, 8, 3, 0.5)
        masks = shifted_masks(kept.float(), shifts, images.shape[-2:])
        maps = self.build(model).explain(model, images, targets).maps
        torch.testing.assert_close(maps, (2 * masks.sum(0) / 4).expand_as(maps))
        covered = self.build(model, normalization="coverage").explain(model, images, targets).maps
        torch.testing.assert_close(covered, torch.where(masks.sum(0) > 0, 2.0, 0.0).expand_as(maps))

    @pytest.mark.parametrize("normalization", ["expected", "coverage"])
    def test_sharp_cells_stay_where_they_are_and_have_a_value_each(self, model, normalization):
        model = model.double()
        images, targets = self.inputs(model, 2)
        kept, side = random_cells(0, 8, 2, 0.5)[0].double(), images.shape[-1] // 2
        settings = {"masks": "nearest", "grid_size": 2, "normalization": normalization}
        maps = self.build(model, **settings).explain(model, images, targets).maps
        for image, target, found in zip(images, targets, maps):
            total, shown = torch.zeros(2, 2).double(), torch.zeros(2, 2).double()
            for cells in kept:
                mask = cells.repeat_interleave(side, 0).repeat_interleave(side, 1)
                with torch.no_grad():
                    score = class_scores(model((image * mask)[None]), target[None])
                total, shown = total + score * cells, shown + cells
            assert_near(found, total / (8 * 0.5) if normalization == "expected" else (total / shown).nan_to_num(), 1e-9)

    def test_other_pixels_can_show_through(self, model):
        images, targets = self.inputs(model, 2)
        plain = self.build(model).explain(model, images, targets).maps
        assert not torch.allclose(self.build(model, baseline="blur").explain(model, images, targets).maps, plain)
        assert not torch.allclose(self.build(model, seed=1).explain(model, images, targets).maps, plain)


def test_its_expectation_on_an_additive_model():
    """Of ``f(x) = sum w_i x_i`` with weights far apart, ``keep sum(w) + (1 - keep) c_i w_i``.

    ``c_i`` is the mean, over the shifts, of the sum of the squared shares that cells have in pixel i.
    """
    side, cells, keep = 32, 4, 0.4
    weights = torch.zeros(side, side, dtype=torch.float64)
    weights[3, 4], weights[28, 6], weights[16, 27] = 1.0, 2.0, 4.0

    class Additive(torch.nn.Module):
        num_classes, preprocessing = 1, tiny.vit().preprocessing
        unused = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))

        def forward(self, images):
            return (images[:, 0] * weights).sum((1, 2)).unsqueeze(1)

    def squared_shares(place):
        cell, found = side // cells, 0.0
        for shift in range(cell):
            at = max((place + shift + 0.5) * cells / ((cells + 1) * cell) - 0.5, 0.0)
            share = at - int(at) if at < cells - 1 else 0.0
            found += (share**2 + (1 - share) ** 2) / cell
        return found

    images = torch.ones(1, 3, side, side, dtype=torch.float64)
    map = RISE(n_samples=40_000, grid_size=cells, keep=keep, output="logit").attribute(Additive(), images, 0)[0]
    for row, column in weights.nonzero().tolist():
        own = (1 - keep) * squared_shares(row) * squared_shares(column) * weights[row, column]
        assert abs(map[row, column] - (keep * weights.sum() + own)) < 0.02 * (keep * weights.sum() + own)


def test_its_expectation_on_a_constant_model_is_the_constant():
    model = network(torch.nn.Flatten(), torch.nn.Linear(192, 5))
    with torch.no_grad():
        model.layers[1].weight.zero_()
        model.layers[1].bias.fill_(2.0)
    map = RISE(n_samples=20_000).attribute(model, torch.ones(1, 3, 8, 8, dtype=torch.float64), 0)[0]
    assert (map - 2).abs().max() < 0.03 * 2
    assert (map - 2).abs().max() > 0  # drawn, and not divided by what was drawn


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"keep": 0.0}, "keep is 0.0: give the probability"),
        ({"n_samples": 0}, "n_samples is 0: give a whole number, 1 or more"),
        ({"normalization": "none"}, "normalization is 'none'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        RISE(**arguments)
