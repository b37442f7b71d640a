from itertools import product
from typing import ClassVar

import pytest
import torch

from lit_coiba.attribution import Sobol
from lit_coiba.core.errors import InputError
from lit_coiba.core.targets import Score
from lit_coiba.functional import sobol_sequence
from lit_coiba.perturbation.masking import box_blurred, cell_masks, perturbed
from tests._testers import tiny
from tests._testers.methods import CopiesTester
from tests._testers.model_state import assert_near
from tests._testers.perturbation import class_scores


def slow_map(model, image, target, grid, n, output: Score = "logit", binary=False):
    """The published design n (d + 2) and Jansen's formula, one forward per row and one loop per cell."""
    d, side = grid * grid, image.shape[-1] // grid
    points = sobol_sequence(n, 2 * d, seed=0)
    points = (points.round() if binary else points).tolist()

    def score(row):
        copy = image.clone()
        for cell, value in enumerate(row):
            top, left = cell // grid * side, cell % grid * side
            copy[:, top : top + side, left : left + side] *= value
        with torch.no_grad():
            return float(class_scores(model(copy[None]), target[None], output))

    a = [score(point[:d]) for point in points]
    mean = sum(a) / n
    variance = sum((value - mean) ** 2 for value in a) / (n - 1)
    indices = []
    for i in range(d):
        c = [score([*point[:i], point[d + i], *point[i + 1 : d]]) for point in points]
        indices.append(sum((x - y) ** 2 for x, y in zip(a, c)) / (2 * n * variance))
    return torch.tensor(indices, dtype=torch.float64).view(grid, grid)


class TestSobol(CopiesTester):
    method = Sobol
    arguments: ClassVar = {"grid_size": 2, "n_samples": 2}
    evaluations = (10, 0)

    def test_it_is_the_published_loop(self, model):
        model = model.double()
        images, targets = self.inputs(model, 2)
        for output in ("logit", "prob"):
            maps = Sobol(grid_size=2, n_samples=4, output=output).explain(model, images, targets).maps
            slow = [slow_map(model, image, target, 2, 4, output) for image, target in zip(images, targets)]
            assert_near(maps, torch.stack(slow), 1e-9)

    def test_binary_masks_show_a_cell_or_hide_it(self, model):
        model = model.double()
        images, targets = self.inputs(model, 2)
        maps = Sobol(grid_size=2, n_samples=8, masks="binary").explain(model, images, targets).maps
        slow = [slow_map(model, image, target, 2, 8, binary=True) for image, target in zip(images, targets)]
        assert_near(maps, torch.stack(slow), 1e-9)

    def test_the_published_design_has_the_same_total_order_and_the_first_order_as_well(self, model):
        model = model.double()
        images, targets = self.inputs(model, 2)
        lean = Sobol(grid_size=2, n_samples=8).explain(model, images, targets)
        full = Sobol(grid_size=2, n_samples=8, evaluate_b=True).explain(model, images, targets)
        first = Sobol(grid_size=2, n_samples=8, order="first").explain(model, images, targets)
        assert_near(full.maps, lean.maps, 1e-12)
        assert_near(first.maps, full.extras["first_order"], 1e-12)
        assert not torch.allclose(first.maps, full.maps)

    def test_a_patch_that_the_model_ignores_has_exactly_zero(self, model):
        images, _ = self.inputs(model, 2)
        half = images.shape[-1] // 2

        class Blind(torch.nn.Module):
            preprocessing, num_classes = model.preprocessing, model.num_classes

            def forward(self, images):
                return torch.stack(
                    [images[..., :half, :].sum((1, 2, 3)), images[..., :half].square().sum((1, 2, 3))], 1
                )

        maps = Sobol(grid_size=2, n_samples=8).explain(Blind(), images, torch.tensor([0, 1])).maps
        assert (maps == 0).tolist() == [[[False, False], [True, True]], [[False, True], [False, True]]]

    def test_a_constant_model_has_zeros(self, model):
        images, targets = self.inputs(model)
        classifier = model.model.get_classifier()
        torch.nn.init.zeros_(classifier.weight)
        for arguments in product(("jansen", "homma", "janon", "glen_isaacs", "saltelli"), ("total", "first")):
            method = Sobol(grid_size=2, n_samples=4, estimator=arguments[0], order=arguments[1])
            assert not method.explain(model, images, targets).maps.any()

    @pytest.mark.parametrize("perturbation", ["blur", "amplitude"])
    def test_every_perturbation_and_estimator_runs(self, model, perturbation):
        images, targets = self.inputs(model, 2)
        plain = Sobol(grid_size=2, n_samples=4).explain(model, images, targets).maps
        for estimator in ("homma", "janon", "glen_isaacs", "saltelli"):
            method = Sobol(
                grid_size=2, n_samples=4, estimator=estimator, perturbation=perturbation, scramble=False, skip_first=4
            )
            maps = method.explain(model, images, targets).maps
            assert maps.isfinite().all()
            assert not torch.allclose(maps, plain)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_samples": 48}, "n_samples is 48: give a power of two, such as 64"),
        ({"n_samples": 1}, "n_samples is 1: give a whole number, 2 or more"),
        ({"n_samples": 32, "skip_first": 2}, "skip_first is 2: give a multiple of n_samples, which is 32"),
        ({"grid_size": 103}, "grid_size is 103: .* 102 cells"),
        ({"grid_size": 0}, "grid_size is 0"),
        ({"estimator": "sobol"}, "estimator is 'sobol': choose jansen"),
        ({"order": "second"}, "order is 'second'"),
        ({"perturbation": "noise"}, "perturbation is 'noise'"),
        ({"strength": 0.5}, "strength is 0.5, and perturbation inpainting has none: leave it out, or take amplitude"),
        ({"perturbation": "amplitude", "strength": float("nan")}, "strength is nan"),
        ({"chunk": 0}, "chunk is 0"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Sobol(**arguments)


def test_masks_take_the_nearest_cell():
    masks = cell_masks(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), (2, 4))
    assert masks.tolist() == [[[1, 1, 2, 2], [3, 3, 4, 4]]]


def test_perturbations_are_what_they_say():
    images = tiny.images(2, (32, 32))
    masks = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    shown = masks[:, None, None]
    torch.testing.assert_close(perturbed(images, masks, "inpainting"), images * shown)
    torch.testing.assert_close(perturbed(images, masks, "amplitude", 3.0), images + 3 * (shown - 0.5))
    blurred = images * shown + (1 - shown) * box_blurred(images)
    torch.testing.assert_close(perturbed(images, masks, "blur"), blurred)


def test_the_box_is_ten_pixels_wide():
    images = torch.zeros(1, 1, 32, 32)
    images[..., 16, 16] = 100.0
    blurred = box_blurred(images)[0, 0]
    assert (blurred > 0).sum() == 100
    assert blurred.max() == 1
    assert box_blurred(torch.ones(1, 1, 32, 32)).allclose(torch.ones(1, 1, 32, 32))
