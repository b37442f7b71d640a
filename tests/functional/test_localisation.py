import torch
from hypothesis import given
from hypothesis import strategies as st

from lit_coiba.functional import energy_inside, pointing_hit, relevance_rank


def loop_over_pixels(map, region):
    inside = total = 0.0
    for value, kept in zip(map.flatten().tolist(), region.flatten().tolist()):
        if value > 0:
            total += value
            inside += value if kept else 0
    return inside / total if total else float("nan")


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 10_000))
def test_share_of_the_positive_attribution(height, width, seed):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(3, height, width, generator=generator, dtype=torch.float64)
    regions = torch.rand(3, height, width, generator=generator) < 0.4
    expected = torch.tensor([loop_over_pixels(m, r) for m, r in zip(maps, regions)], dtype=torch.float64)
    torch.testing.assert_close(energy_inside(maps, regions), expected, equal_nan=True)


def test_a_uniform_map_scores_the_area_share():
    regions = torch.zeros(1, 4, 5, dtype=torch.bool)
    regions[0, :2] = True
    assert energy_inside(torch.full((1, 4, 5), 0.3), regions).item() == 0.5


def test_a_map_without_positive_attribution_has_no_score():
    assert energy_inside(-torch.ones(1, 2, 2), torch.ones(1, 2, 2, dtype=torch.bool)).isnan().all()


def test_the_pointing_game_by_hand():
    maps = torch.tensor([[[0.1, 0.9], [0.2, 0.3]]]).expand(4, -1, -1)
    regions = torch.tensor(
        [[[0, 1], [0, 0]], [[0, 0], [0, 1]], [[0, 0], [1, 0]], [[0, 0], [0, 0]]], dtype=torch.bool
    )  # on the peak, 1 pixel away, sqrt(2) pixels away, nowhere
    for tolerance, expected in ((0, [1, 0, 0]), (1, [1, 1, 0]), (1.5, [1, 1, 1])):
        hits = pointing_hit(maps, regions, tolerance)
        assert hits[:3].tolist() == expected
        assert hits[3].isnan()


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 10_000))
def test_rank_is_the_share_of_the_highest_pixels(height, width, seed):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randint(5, (3, height, width), generator=generator).double()  # with ties
    regions = torch.rand(3, height, width, generator=generator) < 0.4
    for map, region, found in zip(maps, regions, relevance_rank(maps, regions)):
        pixels = sorted(zip(map.flatten().tolist(), region.flatten().tolist()), key=lambda pixel: -pixel[0])
        count = int(region.sum())
        level = pixels[count - 1][0] if count else 0.0  # those at the last level share the places that are left
        above, tied = ([inside for v, inside in pixels if test(v)] for test in (level.__lt__, level.__eq__))
        share = (count - len(above)) * sum(tied) / max(1, len(tied))
        expected = (sum(above) + share) / count if count else float("nan")
        torch.testing.assert_close(found.item(), expected, equal_nan=True)
