from typing import ClassVar

import pytest
import torch

from lit_coiba.attribution import HSIC
from lit_coiba.core.errors import InputError
from lit_coiba.functional import hsic, sobol_sequence
from tests._testers.methods import CopiesTester
from tests._testers.model_state import assert_near
from tests._testers.perturbation import class_scores


class TestHSIC(CopiesTester):
    method = HSIC
    arguments: ClassVar = {"grid_size": 2, "n_samples": 8}
    evaluations = (8, 0)

    @pytest.mark.parametrize("output", ["logit", "prob"])
    def test_it_is_the_dependence_of_the_scores_of_single_copies(self, model, output):
        model = model.double()
        images, targets = self.inputs(model, 2)
        masks, side = sobol_sequence(8, 4, seed=0).round(), images.shape[-1] // 2
        for image, target in zip(images, targets):
            scores = []
            for top_left, top_right, low_left, low_right in masks.tolist():
                copy = image.clone()
                copy[:, :side, :side] *= top_left
                copy[:, :side, side:] *= top_right
                copy[:, side:, :side] *= low_left
                copy[:, side:, side:] *= low_right
                with torch.no_grad():
                    scores.append(class_scores(model(copy[None]), target[None], output))
            expected = hsic(masks, torch.stack(scores)).view(1, 2, 2)
            method = HSIC(grid_size=2, n_samples=8, output=output)
            assert_near(method.explain(model, image[None], target[None]).maps, expected, 1e-9)

    def test_options_make_a_difference(self, model):
        images, targets = self.inputs(model, 2)
        plain = self.build(model).explain(model, images, targets).maps
        for arguments in (
            {"kernel": "rbf"},
            {"kernel": "sobolev"},
            {"bandwidth": "median_y"},
            {"perturbation": "blur"},
            {"perturbation": "amplitude", "strength": 2.0},
            {"scramble": False},
            {"seed": 1, "n_samples": 9},
        ):
            maps = self.build(model, **arguments).explain(model, images, targets).maps
            assert maps.isfinite().all()
            assert not torch.allclose(maps, plain)

    def test_a_constant_model_has_zeros(self, model):
        images, targets = self.inputs(model)
        torch.nn.init.zeros_(model.model.get_classifier().weight)
        assert not self.build(model).explain(model, images, targets).maps.any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"grid_size": 146}, "grid_size is 146: .* 145 cells"),
        ({"n_samples": 1}, "n_samples is 1"),
        ({"kernel": "linear"}, "kernel is 'linear': choose binary"),
        ({"perturbation": "blur", "strength": 2}, "strength is 2, and perturbation blur has none"),
        ({"bandwidth": "mean"}, "bandwidth is 'mean'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        HSIC(**arguments)
