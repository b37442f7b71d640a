import torch
from hypothesis import given
from hypothesis import strategies as st

from lit_coiba.functional import cell_values, ranks, resize_map, spread_cells

sides = st.integers(1, 7)


def coarse_values(seed, *shape):
    """Few different values, so that there are ties."""
    return torch.randint(4, shape, generator=torch.Generator().manual_seed(seed)).double() - 1.5


@given(sides, sides, st.integers(0, 1000))
def test_ranks_are_places_in_a_stable_descending_order(height, width, seed):
    values = coarse_values(seed, 2, height, width)
    for map, first, last in zip(values, ranks(values).flatten(1), ranks(values, "last").flatten(1)):
        entries = map.flatten().tolist()
        order = sorted(range(len(entries)), key=lambda i: -entries[i])
        assert [order.index(i) for i in range(len(entries))] == first.tolist()
        order = sorted(range(len(entries)), key=lambda i: (-entries[i], -i))
        assert [order.index(i) for i in range(len(entries))] == last.tolist()


def test_the_order_of_rise_is_a_flipped_ascending_one():
    values = coarse_values(3, 1, 20)
    order = torch.argsort(values, dim=1, stable=True).flip(1)
    assert torch.equal(ranks(values, "last").gather(1, order), torch.arange(20)[None])


def test_ranks_leave_their_input_alone():
    values = coarse_values(0, 2, 3, 3)
    before = values.clone()
    ranks(values)
    assert torch.equal(values, before)


def area_mean(map, grid):
    """Each cell's mean by counting small squares that divide both grids."""
    fine = map.repeat_interleave(grid[0], 0).repeat_interleave(grid[1], 1)
    return torch.stack([torch.stack([c.mean() for c in row.chunk(grid[1], 1)]) for row in fine.chunk(grid[0], 0)])


@given(sides, sides, sides, sides)
def test_finer_maps_are_averaged_over_the_area_of_each_cell(height, width, rows, columns):
    grid = (min(rows, height), min(columns, width))
    maps = coarse_values(1, 2, height, width)
    for map, found in zip(maps, cell_values(maps, grid)):
        torch.testing.assert_close(found, area_mean(map, grid), rtol=1e-12, atol=1e-12)


def test_a_map_on_the_grid_of_the_cells_keeps_its_own_values():
    maps = coarse_values(2, 2, 5, 3)
    assert torch.equal(cell_values(maps, (5, 3)), maps)


def test_a_coarser_map_is_enlarged_by_resize_map():
    maps = coarse_values(2, 2, 2, 3)
    assert torch.equal(cell_values(maps, (8, 6)), resize_map(maps, (8, 6)))


@given(sides, sides, st.integers(0, 9), st.integers(0, 9))
def test_pixels_take_the_value_of_their_cell(rows, columns, more_rows, more_columns):
    height, width = rows + more_rows, columns + more_columns
    cells = torch.arange(rows * columns).view(1, rows, columns)
    spread = spread_cells(cells, (height, width))[0]
    assert spread.tolist() == [
        [(i * rows // height) * columns + j * columns // width for j in range(width)] for i in range(height)
    ]
    assert len(spread.unique()) == rows * columns  # no cell is without a pixel
