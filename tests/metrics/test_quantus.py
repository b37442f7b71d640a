"""Where Quantus is installed (it is no dependency), what it defines as we do has the same numbers.

    pip install quantus==0.6.0

Its baselines named by a word, its area under the curve and its pointing game are defined otherwise, and left out.
"""

import numpy as np
import pytest
import torch
from torch import nn

from lit_coiba.metrics import Deletion, EnergyPointing, RelevanceRank
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


@pytest.mark.parametrize(
    ("metric", "name"), [(RelevanceRank, "RelevanceRankAccuracy"), (EnergyPointing, "RelevanceMassAccuracy")]
)
def test_localisation(regions, metric, name):
    maps = uniform(3, *SIZE, seed=2).float()
    made = getattr(quantus, name)(**AS_IT_IS, **QUIET)
    images, targets = np.zeros((3, 1, *SIZE), np.float32), np.zeros(3, int)
    theirs = made(nn.Identity(), images, targets, maps[:, None].numpy(), s_batch=regions[:, None].numpy(), device="cpu")
    np.testing.assert_allclose(theirs, metric().score(maps, regions), rtol=1e-6)
