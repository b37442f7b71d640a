from itertools import permutations
from typing import ClassVar

import pytest
import torch
from captum.attr import ShapleyValueSampling

from lit_coiba.attribution import KernelSHAP
from lit_coiba.core.errors import InputError
from lit_coiba.perturbation.segments import grid_segments
from tests._testers.methods import CopiesTester
from tests._testers.model_state import assert_near
from tests._testers.perturbation import class_scores


class TestKernelSHAP(CopiesTester):
    method = KernelSHAP
    arguments: ClassVar = {"grid_size": 2, "n_samples": 12}  # of 14 coalitions, so they are drawn
    evaluations = (14, 0)

    def test_all_coalitions_give_the_shapley_values(self, model):
        model = model.double()
        images, targets = self.inputs(model, 2)
        side = images.shape[-1] // 2
        scores: dict[frozenset[int], torch.Tensor] = {}

        def score(shown):
            if shown not in scores:
                copies = torch.zeros_like(images)
                for cell in shown:
                    top, left = cell // 2 * side, cell % 2 * side
                    place = (..., slice(top, top + side), slice(left, left + side))
                    copies[place] = images[place]
                with torch.no_grad():
                    scores[shown] = class_scores(model(copies), targets)
            return scores[shown]

        expected = torch.zeros(2, 4).double()
        for order in permutations(range(4)):
            for i, cell in enumerate(order):
                gain = score(frozenset(order[: i + 1])) - score(frozenset(order[:i]))
                expected[:, cell] += gain / 24
        explained = self.build(model, n_samples=14).explain(model, images, targets)
        assert_near(explained.maps, expected.view(2, 2, 2), 1e-9)
        assert_near(explained.extras["baseline_score"], score(frozenset()), 1e-9)

    def test_captum_agrees(self, model):
        """Its sampled Shapley values, all orders of two segments."""
        model = model.double()
        images, targets = self.inputs(model, 1)
        halves = (torch.arange(images.shape[-1]) * 2 // images.shape[-1]).expand(images.shape[-2], -1).contiguous()
        maps = self.build(model).explain_regions(model, images, halves, targets).maps
        sampled = ShapleyValueSampling(model)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            found = [sampled.attribute(images, target=targets, feature_mask=halves, n_samples=1) for _ in range(12)]
        orders = {round(float(values[0, 0, 0, 0]), 9): values[:, 0] for values in found}
        assert len(orders) == 2
        assert_near(maps, sum(orders.values()) / 2, 1e-6)

    @pytest.mark.parametrize("n_samples", [2, 5, 12, 14])
    def test_values_sum_to_the_score_less_that_of_the_baseline(self, model, n_samples):
        model = model.double()
        images, targets = self.inputs(model)
        explained = self.build(model, n_samples=n_samples, output="prob", baseline="mean").explain(
            model, images, targets
        )
        hidden = images.mean((2, 3), keepdim=True).expand_as(images)
        with torch.no_grad():
            whole, none = (class_scores(model(x), targets, "prob") for x in (images, hidden))
        torch.testing.assert_close(explained.maps.sum((1, 2)), whole - none, atol=1e-10, rtol=0)

    def test_superpixels_and_segments_of_the_users(self, model):
        model = model.double()
        images, targets = self.inputs(model, 2)
        places = grid_segments(2, images.shape[-2:])
        plain = self.build(model).explain(model, images, targets)
        given = self.build(model).explain_regions(model, images, places, targets)
        side = images.shape[-1] // 2
        assert_near(given.maps[:, ::side, ::side], plain.maps, 1e-12)
        maps = self.build(model, segments="slic", grid_size=3).explain(model, images, targets).maps
        assert maps.shape == images[:, 0].shape
        one = self.build(model).explain_regions(model, images, torch.zeros_like(places), targets)
        with torch.no_grad():
            gain = class_scores(model(images) - model(torch.zeros_like(images)), targets)
        assert_near(one.maps[:, 0, 0], gain, 1e-10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"grid_size": 0}, "grid_size is 0"),
        ({"n_samples": 1}, "n_samples is 1"),
        ({"segments": "none"}, "segments is 'none'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        KernelSHAP(**arguments)


def test_more_cells_than_pixels_are_refused():
    from tests._testers import tiny

    with pytest.raises(InputError, match="grid_size is 33, more than the image has pixels: give at most 32"):
        KernelSHAP(grid_size=33).explain(tiny.vit(), tiny.images(1, (32, 32)))
