import numpy as np
import pytest
import torch
from scipy.ndimage import correlate

from lit_coiba.functional.importance import SIDE, SIGMA, TAPS, smooth_importance


def test_at_its_own_side_it_is_a_truncated_gaussian_with_zeros_outside():
    maps = torch.rand(2, SIDE, SIDE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    offsets = np.arange(TAPS) - TAPS // 2
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * SIGMA**2))
    assert window[5, 0] / window[5, 5] == pytest.approx(0.88, abs=0.005)  # nearly a box
    for one, found in zip(maps, smooth_importance(maps)):
        expected = correlate(one.numpy(), window / window.sum(), mode="constant")
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_a_click_becomes_a_blot_around_it_that_keeps_its_sum():
    clicks = torch.zeros(1, 224, 224)
    clicks[0, 100, 60:64] = 1
    blot = smooth_importance(clicks)[0]
    assert blot.shape == (224, 224)
    assert (blot >= 0).all()
    rows, columns = blot.nonzero().T
    assert (rows.float().mean() - 100).abs() < 3
    assert (columns.float().mean() - 61.5).abs() < 3
    assert 1000 < len(rows) < 3000  # 11 of 64 cells a side, and the interpolation beside them


def test_it_is_linear_and_keeps_unknown_maps_apart():
    maps = torch.rand(3, 50, 30, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(smooth_importance(7 * maps), 7 * smooth_importance(maps))
    maps[1] = torch.nan
    found = smooth_importance(maps)
    assert found[1].isnan().all()
    assert not found[[0, 2]].isnan().any()
    torch.testing.assert_close(smooth_importance(maps[:1], taps=1, side=64).mean(), maps[0].mean(), rtol=0.02, atol=0)
