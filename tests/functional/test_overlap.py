import torch

from lit_coiba.functional.overlap import highest_weights, top_overlap


def test_weights_mark_as_many_pixels_in_every_map():
    maps = torch.randint(0, 4, (50, 6, 7), generator=torch.Generator().manual_seed(0)).float()
    for share in (0.01, 0.1, 0.5, 1.0):
        found = highest_weights(maps, share)
        torch.testing.assert_close(found.sum((1, 2)), torch.full((50,), float(max(round(share * 42), 1))))
        assert ((found >= 0) & (found <= 1)).all()
        order = maps.flatten(1).argsort(1, descending=True)
        assert (found.flatten(1).gather(1, order).diff(dim=1) <= 0).all()


def test_the_same_maps_overlap_wholly_and_reversed_ones_not_at_all():
    maps = torch.randn(5, 8, 8, generator=torch.Generator().manual_seed(1))
    assert all((found == 1).all() for found in top_overlap(maps, maps.exp()))
    assert all((found == 0).all() for found in top_overlap(maps, -maps, 0.4))
