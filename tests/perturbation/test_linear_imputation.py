import pytest
import torch

from lit_coiba.perturbation.linear_imputation import NEIGHBORS, impute_linearly
from tests._testers.metrics import uniform


def slow_imputation(image, removed):
    """The whole dense system of one image ``(C, H, W)``, written from its definition."""
    height, width = removed.shape
    size = height * width
    system = torch.eye(size, dtype=torch.float64)
    sides = torch.zeros(size, len(image), dtype=torch.float64)
    for row in range(height):
        for column in range(width):
            place = row * width + column
            if not removed[row, column]:
                sides[place] = image[:, row, column]
                continue
            system[place, place] = 0
            for down in (-1, 0, 1):
                for right in (-1, 0, 1):
                    inside = 0 <= row + down < height and 0 <= column + right < width
                    if inside and (down, right) != (0, 0):
                        weight = 1 / 12 if down and right else 1 / 6
                        system[place, place] += weight
                        system[place, (row + down) * width + column + right] -= weight
    return torch.linalg.solve(system, sides).T.reshape(image.shape)


def test_it_solves_the_system():
    images, removed = uniform(4, 3, 6, 9), uniform(4, 6, 9, seed=1) < torch.tensor([0.2, 0.5, 0.7, 0.9])[:, None, None]
    expected = torch.stack([slow_imputation(image, mask) for image, mask in zip(images, removed)])
    torch.testing.assert_close(impute_linearly(images, removed), expected, rtol=1e-10, atol=1e-12)


def test_r1_a_constant_image_stays_as_it_is_to_its_border():
    images = torch.full((1, 3, 32, 24), 0.37)
    removed = uniform(1, 32, 24) < 0.9
    torch.testing.assert_close(impute_linearly(images, removed), images, rtol=0, atol=1e-6)


def test_r1_a_ramp_stays_as_it_is_inside():
    ramp = (torch.arange(16.0)[:, None] + 2 * torch.arange(16.0)).double()[None, None] / 45
    removed = torch.zeros(1, 16, 16, dtype=torch.bool)
    removed[:, 1:-1, 1:-1] = uniform(1, 14, 14) < 0.8
    torch.testing.assert_close(impute_linearly(ramp, removed), ramp, rtol=0, atol=1e-12)
    removed[:, 0] = True
    error = (impute_linearly(ramp, removed) - ramp).abs().max()
    assert 1e-3 < error < 0.3  # dropped weights break the symmetry at the border


def test_nothing_removed_is_the_image_and_everything_removed_is_unknown():
    images = uniform(2, 3, 4, 5)
    removed = torch.zeros(2, 4, 5, dtype=torch.bool)
    removed[1] = True
    found = impute_linearly(images, removed)
    assert torch.equal(found[0], images[0])
    assert found[1].isnan().all()
    assert impute_linearly(images[:0], removed[:0]).shape == (0, 3, 4, 5)


def test_noise_is_added_where_pixels_were_removed():
    images, noise, removed = uniform(1, 3, 4, 5), uniform(1, 3, 4, 5, seed=1), uniform(1, 4, 5, seed=2) < 0.4
    difference = impute_linearly(images, removed, noise) - impute_linearly(images, removed)
    torch.testing.assert_close(difference, noise * removed.unsqueeze(1))


def test_weights_sum_to_one():
    assert sum(weight for _, _, weight in NEIGHBORS) == pytest.approx(1)


@pytest.mark.filterwarnings("ignore:__array_wrap__")  # of numpy, about grad-cam
def test_it_equals_the_imputer_of_grad_cam():
    from pytorch_grad_cam.metrics.road import NoisyLinearImputer

    image, removed = uniform(3, 12, 10).float(), uniform(12, 10, seed=1) < 0.7
    theirs = NoisyLinearImputer(noise=0)(image, (~removed).float())
    torch.testing.assert_close(impute_linearly(image[None], removed[None])[0], theirs, rtol=0, atol=1e-5)
