from itertools import pairwise
from typing import get_args

import pytest
import torch

from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.metrics import Deletion
from lit_coiba.perturbation.baselines import Baseline, BaselineImages, baseline_images

MEAN, STD = (torch.tensor(values).view(3, 1, 1) for values in ((0.5, 0.4, 0.3), (0.2, 0.25, 0.1)))


class Normalised:
    """As much of a model as baselines ask for."""

    preprocessing = Preprocessing(mean=tuple(MEAN.flatten().tolist()), std=tuple(STD.flatten().tolist()))

    def __call__(self, images):
        """One logit, the sum of all values."""
        return images.sum((1, 2, 3)).unsqueeze(1)


@pytest.fixture
def model():
    return Normalised()


def pixels(count=2):
    return torch.rand(count, 3, 32, 24, generator=torch.Generator().manual_seed(0))


def of(kind, model, seed=0, given=None):
    """A baseline in pixels from 0 to 1."""
    images = ((pixels() if given is None else given) - MEAN) / STD
    return baseline_images(kind, images, model, seed) * STD + MEAN


def test_constants(model):
    torch.testing.assert_close(of("zero", model), MEAN.expand(2, 3, 32, 24))
    torch.testing.assert_close(of("black", model), torch.zeros(2, 3, 32, 24))
    torch.testing.assert_close(of("mean", model), pixels().mean((2, 3), keepdim=True).expand(2, 3, 32, 24))


def test_the_opposite_is_the_farther_end(model):
    found = of("opposite", model)
    torch.testing.assert_close(found, (pixels() < 0.5).float(), atol=1e-6, rtol=0)
    assert ((found - pixels()).abs() >= 0.5 - 1e-6).all()


def test_blur_takes_detail_and_leaves_the_mean(model):
    found = of("blur", model)
    assert (found.std((2, 3)) < 0.3 * pixels().std((2, 3))).all()
    torch.testing.assert_close(found.mean((2, 3)), pixels().mean((2, 3)), atol=0.02, rtol=0)
    flat = torch.full((1, 3, 32, 32), 0.7)
    torch.testing.assert_close(of("blur", model, given=flat), flat)


def test_noise_is_a_share_of_the_range_and_stays_in_it(model):
    grey = torch.full((1, 3, 32, 32), 0.5)
    shift = of("noise", model, given=grey) - grey
    assert shift.std() == pytest.approx(0.2, rel=0.05)
    found = of("noise", model)
    assert found.min() >= -1e-6
    assert found.max() <= 1 + 1e-6


def test_uniform_pixels_are_uniform_and_know_nothing_of_the_image(model):
    found = of("uniform", model)
    assert torch.equal(found[0], found[1])
    deciles = torch.linspace(0, 1, 11)
    shares = torch.stack([((found[0] >= a) & (found[0] < b)).float().mean() for a, b in pairwise(deciles)])
    assert (shares - 0.1).abs().max() < 0.02


@pytest.mark.parametrize("kind", get_args(Baseline))
def test_a_baseline_depends_on_its_image_and_seed_alone(model, kind):
    images = (pixels() - MEAN) / STD
    before, together = images.clone(), baseline_images(kind, images, model)
    alone = torch.cat([baseline_images(kind, images[i : i + 1], model) for i in range(2)])
    torch.testing.assert_close(together, alone)
    assert torch.equal(images, before)
    assert together.shape == images.shape
    assert baseline_images(kind, images.double(), model).dtype == torch.float64
    other = baseline_images(kind, images, model, seed=1)
    assert torch.equal(other, together) == (kind not in ("noise", "uniform"))


def test_an_unknown_baseline_is_refused(model):
    with pytest.raises(InputError, match="baseline is 'white': choose zero, black"):
        baseline_images("white", pixels(), model)


def test_minimum_and_numbers_are_those_of_the_space_they_are_made_in(model):
    lowest = pixels().amin((1, 2, 3), keepdim=True).expand(2, 3, 32, 24)
    images = (pixels() - MEAN) / STD
    in_pixels = {
        kind: BaselineImages(kind, space="pixels").of(images, model) * STD + MEAN for kind in ("minimum", 0.25)
    }
    torch.testing.assert_close(in_pixels["minimum"], lowest)
    torch.testing.assert_close(in_pixels[0.25], torch.full_like(images, 0.25))
    assert torch.equal(
        baseline_images("minimum", images, model), images.amin((1, 2, 3), keepdim=True).expand_as(images)
    )
    assert torch.equal(baseline_images(0.25, images, model), torch.full_like(images, 0.25))


@pytest.mark.parametrize("kind", ["black", "noise", "uniform", "opposite"])
def test_what_is_defined_by_pixels_is_the_same_in_both_spaces(model, kind):
    images = (pixels() - MEAN) / STD
    assert torch.equal(BaselineImages(kind, space="pixels").of(images, model), baseline_images(kind, images, model))


@pytest.mark.parametrize("kind", get_args(Baseline))
def test_a_metric_takes_every_baseline_of_the_methods(model, kind):
    """Insertion starts from it and deletion ends at it, here as the sum of all its values."""
    images, maps = (pixels() - MEAN) / STD, torch.rand(2, 4, 4)
    window = {"blur": "gaussian", "blur_size": 7, "blur_sigma": 1.5}  # the methods' own at 24 pixels
    curves = Deletion(output="logit", baseline=kind, steps=2, **window).curves(model, images, 0, maps)
    torch.testing.assert_close(curves[:, -1], baseline_images(kind, images, model).sum((1, 2, 3)), rtol=1e-4, atol=1e-2)
