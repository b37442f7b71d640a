from typing import ClassVar

import pytest
import torch
from captum.attr import Lime as CaptumLime

from lit_coiba.attribution import LIME
from lit_coiba.core.errors import InputError
from lit_coiba.functional import cosine_similarity_weights, noise
from lit_coiba.perturbation.segments import grid_segments
from tests._testers import tiny
from tests._testers.methods import CopiesTester
from tests._testers.model_state import assert_near


class TestLIME(CopiesTester):
    method = LIME
    arguments: ClassVar = {"grid_size": 2, "n_samples": 10}
    evaluations = (10, 0)

    @pytest.mark.parametrize(("surrogate", "alpha"), [("ridge", 1.0), ("lasso", 0.01)])
    def test_captum_agrees_on_the_same_draws(self, model, surrogate, alpha):
        linear = pytest.importorskip("captum._utils.models.linear_model")
        pytest.importorskip("sklearn")
        model = model.double()
        images, targets = self.inputs(model, 2)
        shown = (noise(0, 0, 0, (10, 4)) > 0).double()
        places = grid_segments(2, images.shape[-2:])
        fit = linear.SkLearnRidge(alpha=alpha) if surrogate == "ridge" else linear.SkLearnLasso(alpha=alpha)
        maps = self.build(model, surrogate=surrogate, alpha=alpha).explain(model, images, targets).maps
        for image, target, found in zip(images, targets, maps):
            draws = iter(shown)
            captum = CaptumLime(
                model,
                interpretable_model=fit,
                similarity_func=lambda original, perturbed, z, **_: cosine_similarity_weights(z)[0],
                perturb_func=lambda original, draws=draws, **_: next(draws)[None],
            )
            mask = places[:, None].expand(-1, 3, -1, -1)
            expected = captum.attribute(
                image[None], target=int(target), feature_mask=mask, n_samples=10, return_input_shape=False
            )
            assert_near(found.flatten(), expected[0].double(), 1e-4 if surrogate == "lasso" else 1e-5)

    def test_segments_of_the_users_and_superpixels(self, model):
        model = model.double()
        images, targets = self.inputs(model, 2)
        method, places = self.build(model), grid_segments(2, images.shape[-2:])
        plain = method.explain(model, images, targets)
        given = method.explain_regions(model, images, 5 * places[0], targets)
        each = method.explain_regions(model, images, places.expand(2, -1, -1), targets)
        assert torch.equal(given.maps, each.maps)
        side = images.shape[-1] // 2
        assert_near(given.maps[:, ::side, ::side], plain.maps, 1e-12)
        uneven = torch.cat([places, places.clamp_max(2)])
        mixed = method.explain_regions(model, images, uneven, targets)
        for i in range(2):
            alone = method.explain_regions(model, images[i : i + 1], uneven[i], targets[i : i + 1])
            assert_near(mixed.maps[i], alone.maps[0], 1e-10)
            assert_near(mixed.extras["r2"][i], alone.extras["r2"][0], 1e-10)
        blocks = images[..., ::8, ::8].repeat_interleave(8, -1).repeat_interleave(8, -2)  # of one colour each
        superpixels = self.build(model, segments="slic", grid_size=3, n_samples=30).explain(model, blocks, targets)
        assert superpixels.maps.shape == images[:, 0].shape
        assert (superpixels.maps.flatten(1).std(1) > 0).any()  # of one the superpixels may all have been merged

    def test_options_make_a_difference(self, model):
        images, targets = self.inputs(model, 2)
        plain = self.build(model).explain(model, images, targets).maps
        for arguments in ({"kernel_width": 1.0}, {"alpha": 0.1}, {"baseline": "blur"}, {"seed": 1}, {"output": "prob"}):
            assert not torch.allclose(self.build(model, **arguments).explain(model, images, targets).maps, plain)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"grid_size": 0}, "grid_size is 0"),
        ({"n_samples": 1}, "n_samples is 1"),
        ({"alpha": -1.0}, "alpha is -1.0"),
        ({"kernel_width": 0.0}, "kernel_width is 0.0"),
        ({"segments": "felzenszwalb"}, "segments is 'felzenszwalb': choose grid, slic"),
        ({"surrogate": "tree"}, "surrogate is 'tree'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        LIME(**arguments)


def test_a_kernel_in_which_no_copy_lies_is_refused():
    with pytest.raises(InputError, match="kernel_width is 1e-09, and no sample is that close"):
        LIME(grid_size=4, n_samples=8, kernel_width=1e-9).attribute(tiny.vit(), tiny.images(1, (32, 32)), 1)
