import torch
from torch.nn.functional import interpolate

from lit_coiba.functional import random_cells, shifted_masks


def test_cells_are_kept_with_the_probability_and_shifts_are_uniform():
    for keep in (0.1, 0.5):
        kept, shifts = random_cells(3, 2000, 7, keep)
        assert abs(kept.double().mean() - keep) < 0.005
        assert ((shifts >= 0) & (shifts < 1)).all()
        assert (shifts.mean(0) - 0.5).abs().max() < 0.03
        assert (shifts.var(0) - 1 / 12).abs().max() < 0.01
    assert random_cells(0, 5, 2, 1.0)[0].all()


def test_masks_are_enlarged_then_cropped_at_the_shift():
    kept, shifts = random_cells(0, 6, 3, 0.5)
    masks = shifted_masks(kept.double(), shifts, (10, 13))  # cells of 4 x 5 pixels
    large = interpolate(kept[:, None].double(), size=(16, 20), mode="bilinear", align_corners=False)[:, 0]
    for mask, whole, (down, right) in zip(masks, large, shifts.tolist()):
        top, left = int(down * 4), int(right * 5)
        assert torch.equal(mask, whole[top : top + 10, left : left + 13])
    assert len({tuple(shift) for shift in (shifts * torch.tensor([4, 5])).long().tolist()}) > 2


def test_t4_the_expectation_for_an_additive_score_of_independent_masks():
    """(1 - p) w_i + p sum w, for masks whose entries are independent; a constant score has a constant map."""
    p, weights = 0.5, torch.tensor([0.4, 0.0, 1.0, 2.0]).double()
    masks = random_cells(0, 200_000, 2, p)[0].flatten(1).double()
    found = ((masks @ weights)[:, None] * masks).mean(0) / p
    torch.testing.assert_close(found, (1 - p) * weights + p * weights.sum(), atol=0.02, rtol=0)
    torch.testing.assert_close(masks.mean(0) / p, torch.ones(4).double(), atol=0.01, rtol=0)
