"""Methods with masks on a ViT whose hidden patches are absent, against a model that leaves out patches of zeros."""

from typing import ClassVar

import pytest
import torch
from torch import nn

from benchmarks._models import caltech_vit
from lit_coiba.attribution import HSIC, LIME, RISE, KernelSHAP, Occlusion, Sobol
from lit_coiba.backbones.tokens import TokenDropping
from lit_coiba.core.errors import InputError
from lit_coiba.perturbation.hiding import HiddenTokens, kept_patches
from lit_coiba.perturbation.segments import grid_segments
from tests._testers import tiny
from tests._testers.model_state import assert_near, assert_same_state, state

FEW = {"n_samples": 8, "grid_size": 2}
METHODS = {
    "RISE": (RISE, {**FEW, "masks": "nearest"}),
    "Sobol": (Sobol, {**FEW, "masks": "binary"}),
    "HSIC": (HSIC, {**FEW, "n_samples": 12}),
    "LIME": (LIME, {**FEW, "kernel_width": 1.0}),
    "KernelSHAP": (KernelSHAP, FEW),
    "Occlusion": (Occlusion, {"window": 8}),
    "Occlusion, overlapping": (Occlusion, {"window": 16, "stride": 8}),
}


class Absent(nn.Module):
    """A ViT for which patches that are zero are absent, by masks of attention: the oracle."""

    num_classes = tiny.CLASSES

    def __init__(self, model):
        super().__init__()
        self.model, self.preprocessing = model, model.preprocessing

    def forward(self, images):
        dropping = TokenDropping.of(self.model)
        side = images.shape[-1] // dropping.grid[1]
        shown = images.ne(0).any(1).unfold(1, side, side).unfold(2, side, side).any((-2, -1)).flatten(1)
        return dropping.run(dropping.embed(images), shown, masked=True)


@pytest.mark.parametrize("name", METHODS)
def test_hidden_patches_are_absent(name):
    method, arguments = METHODS[name]
    model = tiny.vit(depth=3).double()
    images, targets = tiny.images(3, (32, 32)).double(), torch.tensor([1, 4, 7])
    before = state(model)
    found = method(**arguments, baseline="tokens").explain(model, images, targets).maps
    assert_same_state(state(model), before)
    assert_near(found, method(**arguments).explain(Absent(model), images, targets).maps, 1e-9)
    zeros = method(**arguments).explain(model, images, targets).maps
    assert (found - zeros).abs().max() > 1e-2 * zeros.abs().max()
    alone = method(**arguments, baseline="tokens", chunk=3).explain(model, images[1:2], targets[1:2]).maps
    assert_near(alone[0], found[1], 1e-9)


@pytest.mark.parametrize("name", METHODS)
def test_a_cnn_is_refused_before_anything_runs(name):
    method, arguments = METHODS[name]
    with pytest.raises(InputError, match="baseline is tokens, and resnet18 cannot leave out patches") as said:
        method(**arguments, baseline="tokens").explain(tiny.resnet(), tiny.images(1, (64, 64)), 1)
    assert "\n" not in str(said.value)


class TestCells:
    sizes: ClassVar = {"n_samples": 8, "grid_size": 3}

    @pytest.mark.parametrize(
        ("method", "told"),
        [
            (RISE(**sizes, masks="nearest", baseline="tokens"), "grid_size is 3"),
            (Sobol(**sizes, masks="binary", baseline="tokens"), "grid_size is 3"),
            (HSIC(**sizes, baseline="tokens"), "grid_size is 3"),
            (LIME(**sizes, baseline="tokens"), "grid_size is 3"),
            (KernelSHAP(**sizes, baseline="tokens"), "grid_size is 3"),
            (KernelSHAP(8, 8, baseline="tokens"), "grid_size is 8"),
        ],
    )
    def test_a_grid_that_splits_patches_is_refused(self, method, told):
        said = f"{told}, which splits patches of 8 x 8 pixels, .* give a divisor of 4 x 4: 1, 2, 4$"
        with pytest.raises(InputError, match=said):
            method.attribute(tiny.vit(), tiny.images(1, (32, 32)), 1)

    @pytest.mark.parametrize("sizes", [{"window": 12}, {"window": 16, "stride": 4}])
    def test_windows_that_split_patches_are_refused(self, sizes):
        with pytest.raises(InputError, match=r"which splits patches of 8 pixels, .* give multiples of 8$"):
            Occlusion(**sizes, baseline="tokens").attribute(tiny.vit(), tiny.images(1, (32, 32)), 1)

    def test_windows_are_of_whole_patches_where_none_are_given(self):
        model, images = tiny.vit(), tiny.images(1, (32, 32))
        assert Occlusion().attribute(model, images, 1).shape == (1, 8, 8)
        assert Occlusion(baseline="tokens").attribute(model, images, 1).shape == (1, 4, 4)

    def test_segments_of_the_users(self):
        model, images = tiny.vit(), tiny.images(2, (32, 32))
        method = LIME(4, 8, baseline="tokens")
        patches = grid_segments(4, (32, 32))[0]
        found = method.explain_regions(model, images, patches, 1).maps
        assert_near(found[:, ::8, ::8], method.explain(model, images, 1).maps, 1e-6)
        with pytest.raises(InputError, match=r"regions has a segment, which splits patches .* give segments of whole"):
            method.explain_regions(model, images, patches.roll(1, 0), 1)

    def test_superpixels_are_refused(self):
        pytest.importorskip("skimage")
        with pytest.raises(InputError, match=r"segments is slic, which splits patches .* give segments grid$"):
            LIME(4, 8, "slic", baseline="tokens").attribute(tiny.vit(), tiny.images(1, (32, 32)), 1)


@pytest.mark.parametrize(
    ("method", "arguments", "remedy"),
    [
        (RISE, {}, "set masks to nearest"),
        (Sobol, {}, "set masks to binary"),
        (HSIC, {"kernel": "rbf"}, "set kernel to binary"),
    ],
)
def test_soft_masks_are_refused(method, arguments, remedy):
    with pytest.raises(InputError, match=f"baseline is tokens, and a mask with values between 0 and 1 .*: {remedy}$"):
        method(**arguments, baseline="tokens")


@pytest.mark.parametrize("method", [Sobol, HSIC])
def test_a_baseline_of_other_perturbations_is_refused(method):
    with pytest.raises(InputError, match="baseline is mean, and perturbation blur has none: leave it out"):
        method(perturbation="blur", baseline="mean")
    with pytest.raises(InputError, match=r"baseline is 'void': choose zero, .*, tokens"):
        method(baseline="void")


@pytest.mark.parametrize("method", [Sobol, HSIC])
def test_inpainting_shows_any_baseline(method):
    model, images = tiny.vit(), tiny.images(2, (32, 32))
    zeros = method(**FEW).attribute(model, images, 1)
    assert not torch.allclose(method(**FEW, baseline="mean").attribute(model, images, 1), zeros)


def test_a_model_that_pools_patches_has_no_score_without_any():
    model, images = tiny.vit(global_pool="avg"), tiny.images(2, (32, 32))
    with pytest.raises(InputError, match=r"all patches of an image are hidden at once, .* pools patches has no score"):
        KernelSHAP(**FEW, baseline="tokens").attribute(model, images, 1)
    assert Occlusion(8, baseline="tokens").attribute(model, images, 1).isfinite().all()


def test_a_patch_of_which_one_pixel_is_hidden_is_absent():
    masks = torch.ones(1, 2, 4, 6)
    masks[0, 0, 1, 2] = 0
    expected = torch.tensor([[[True, False, True, True, True, True], [True] * 6]])
    assert torch.equal(kept_patches(masks, (2, 3)), expected)


def test_masks_of_their_own_for_each_image():
    model, images = tiny.vit(depth=2), tiny.images(2, (32, 32))
    masks = (torch.rand(3, 2, 4, 4, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    hidden, large = HiddenTokens(model, images), masks.repeat_interleave(8, -1).repeat_interleave(8, -2)
    with torch.no_grad():
        found = hidden.outputs(slice(0, 2), large).unflatten(0, (3, 2))
        for copy in range(3):
            expected = TokenDropping.of(model)(images, masks[copy].flatten(1).bool())
            assert_near(found[copy], expected, 1e-5)


def test_a_trained_vit(assets):
    """A grid of the model's own patches; hiding nothing but what is there."""
    model = caltech_vit(assets)
    images = torch.randn(1, 3, 168, 168, generator=torch.Generator().manual_seed(0))
    maps = Occlusion(28, baseline="tokens").attribute(model, images, 5)
    assert maps.shape == (1, 6, 6)
    kept = torch.ones(6, 6, dtype=torch.bool)
    kept[2, 3] = False
    kept = kept.repeat_interleave(2, 0).repeat_interleave(2, 1).flatten()[None]
    with torch.no_grad():
        fall = model(images)[0, 5] - TokenDropping.of(model)(images, kept)[0, 5]
    assert maps[0, 2, 3].item() == pytest.approx(fall.item(), abs=1e-4)
