"""Where Quantus is installed (it is no dependency), what it defines as we do has the same numbers.

    pip install quantus==0.6.0

Its baselines named by a word, its area under the curve and its pointing game are defined otherwise, and left out.
"""

import numpy as np
import pytest
import torch
from torch import nn

from lit_coiba.functional import keyed_orders, ranks
from lit_coiba.metrics import Deletion, EnergyPointing, Entropy, FaithfulnessCorrelation, RelevanceRank, Sparseness
from lit_coiba.perturbation.linear_imputation import impute_linearly
from tests._testers.metrics import uniform

quantus = pytest.importorskip("quantus", reason="Quantus is not installed")

SIZE = (6, 8)
QUIET = {"disable_warnings": True, "display_progressbar": False}
AS_IT_IS = {"abs": False, "normalise": False}


@pytest.fixture
def regions():
    masks = torch.zeros(3, *SIZE, dtype=torch.bool)
    masks[0, :3, :4] = masks[1, 2:, 5:] = masks[2, :, ::2] = True
    return masks


def test_d5_pixel_flipping_is_our_curve_without_its_first_point():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 6 * 8, 5)).eval()
    images, maps, targets = uniform(3, 1, *SIZE).float(), uniform(3, *SIZE, seed=1).float(), torch.tensor([0, 3, 4])
    for step in (1, 4, 12):
        flipping = quantus.PixelFlipping(features_in_step=step, perturb_baseline=0.1, **AS_IT_IS, **QUIET)
        theirs = flipping(model, images.numpy(), targets.numpy(), maps[:, None].numpy(), softmax=True, device="cpu")
        ours = Deletion(step=step, baseline=0.1).curves(model, images, targets, maps)
        np.testing.assert_allclose(np.array(theirs), ours[:, 1:], rtol=1e-5)


@pytest.mark.parametrize("baseline", ["black", 0.1])
def test_d5_the_preset_is_pixel_flipping(baseline):
    """Of images with several channels, whose entries are ties that Quantus breaks anyhow: steps of whole pixels."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 6 * 8, 5)).eval()
    images, maps, targets = uniform(3, 3, *SIZE).float(), uniform(3, *SIZE, seed=1).float(), torch.tensor([0, 3, 4])
    flipping = quantus.PixelFlipping(features_in_step=3, perturb_baseline=baseline, **AS_IT_IS, **QUIET)
    theirs = flipping(model, images.numpy(), targets.numpy(), maps[:, None].numpy(), softmax=True, device="cpu")
    ours = Deletion(preset="quantus_pf", step=3, baseline=None if baseline == "black" else baseline)
    np.testing.assert_allclose(np.array(theirs), ours.curves(model, images, targets, maps)[:, 1:], rtol=1e-5)
    area = np.trapezoid(np.array(theirs), dx=1.0)  # as Quantus has it, with a function that NumPy has renamed
    np.testing.assert_allclose(ours.score(model, images, targets, maps), area, rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_f1_faithfulness_correlation_of_the_same_subsets(channels, monkeypatch):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(192, 5)).eval()
    images, maps = uniform(2, channels, *SIZE).float(), uniform(2, *SIZE, seed=1).float()
    entries, targets = channels * 48, torch.tensor([1, 3])
    ours = FaithfulnessCorrelation(removed=20, subsets=30, unit="entry", baseline=0.1)
    places = torch.stack([keyed_orders(0, name, "faithfulness_correlation", 30, entries) for name in "ab"])
    drawn = iter([places[row, run].argsort()[:20].numpy() for run in range(30) for row in range(2)])
    monkeypatch.setattr(np.random, "choice", lambda *_, **__: next(drawn))
    correlation = quantus.FaithfulnessCorrelation(
        nr_runs=30, subset_size=20, perturb_baseline=0.1, return_aggregate=False, **AS_IT_IS, **QUIET
    )
    theirs = correlation(model, images.numpy(), targets.numpy(), maps[:, None].numpy(), device="cpu", softmax=False)
    np.testing.assert_allclose(ours.score(model, images, targets, maps, ["a", "b"]), theirs, rtol=1e-4)


@pytest.mark.parametrize(
    ("metric", "name"), [(RelevanceRank, "RelevanceRankAccuracy"), (EnergyPointing, "RelevanceMassAccuracy")]
)
def test_localisation(regions, metric, name):
    maps = uniform(3, *SIZE, seed=2).float()
    made = getattr(quantus, name)(**AS_IT_IS, **QUIET)
    images, targets = np.zeros((3, 1, *SIZE), np.float32), np.zeros(3, int)
    theirs = made(nn.Identity(), images, targets, maps[:, None].numpy(), s_batch=regions[:, None].numpy(), device="cpu")
    np.testing.assert_allclose(theirs, metric().score(maps, regions), rtol=1e-6)


def test_r1_road_without_noise_imputes_the_same_images():
    """Quantus tells how often the class is still predicted, in one batch, with the most relevant pixels removed."""
    from quantus.functions.perturb_func import noisy_linear_imputation

    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(400, 5)).eval()
    images, maps = uniform(8, 1, 10, 10).float(), uniform(8, 10, 10, seed=2).float()
    targets = model(images).argmax(1)
    removed = {share: ranks(maps) < share for share in (10, 40, 80)}  # of 100 pixels: as many as percent
    for masks in removed.values():
        found = impute_linearly(images, masks)
        for image, mask, ours in zip(images, masks, found):
            theirs = noisy_linear_imputation(image.numpy(), mask.flatten().nonzero()[:, 0].numpy(), noise=0.0)
            np.testing.assert_allclose(theirs.reshape(1, 10, 10), ours, atol=1e-5)
    road = quantus.ROAD(noise=0.0, percentages=list(removed), **AS_IT_IS, **QUIET)
    theirs = road(model, images.numpy(), targets.numpy(), maps[:, None].numpy(), device="cpu")
    right = {
        share: (model(impute_linearly(images, masks)).argmax(1) == targets).float().mean().item()
        for share, masks in removed.items()
    }
    assert theirs == pytest.approx(right)


def test_c1_entropy_and_sparseness():
    maps = uniform(3, *SIZE, seed=4).float()
    images, targets = np.zeros((3, 1, *SIZE), np.float32), np.zeros(3, int)
    for metric, name in ((Entropy, "Complexity"), (Sparseness, "Sparseness")):
        made = getattr(quantus, name)(**AS_IT_IS, **QUIET)
        theirs = made(nn.Identity(), images, targets, maps[:, None].numpy(), device="cpu")
        np.testing.assert_allclose(theirs, metric().score(maps), rtol=1e-5)
