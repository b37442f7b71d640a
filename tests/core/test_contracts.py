import torch
from hypothesis import given
from hypothesis import strategies as st

from lit_coiba.core.grid import Grid
from lit_coiba.core.network import State

LAYOUTS = ("tokens", "channels_first", "channels_last")


@st.composite
def grids(draw):
    layout = draw(st.sampled_from(LAYOUTS))
    prefix = draw(st.sampled_from([0, 1, 5])) if layout == "tokens" else 0
    return Grid("layer", layout, draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 3)), prefix)


def activation_of(grid, batch=2):
    """Activations whose entry says where it is: ``100 * channel + position``."""
    positions = torch.arange(grid.positions, dtype=torch.float64)
    tokens = positions[:, None] + 100 * torch.arange(grid.channels)
    if grid.layout != "tokens":
        tokens = tokens.view(grid.height, grid.width, grid.channels)
    if grid.layout == "channels_first":
        tokens = tokens.permute(2, 0, 1)
    return tokens.expand(batch, *tokens.shape)


@given(grids())
def test_a_map_is_what_its_positions_say(grid):
    """Prefix tokens first, then places in row-major order, in every layout."""
    activation = activation_of(grid)
    positions = grid.over_channels(activation) - 100 * (grid.channels - 1) / 2
    assert torch.equal(positions[0], torch.arange(grid.positions, dtype=torch.float64))
    map = grid.to_map(positions)[0]
    assert map.shape == (grid.height, grid.width)
    for row in range(grid.height):
        for column in range(grid.width):
            assert map[row, column] == grid.num_prefix_tokens + row * grid.width + column
    spatial = grid.to_spatial(activation)[0]
    for channel in range(grid.channels):
        assert torch.equal(spatial[channel], map + 100 * channel)


@given(grids())
def test_values_per_position_multiply_their_own_position(grid):
    activation = activation_of(grid)
    values = torch.arange(1.0, grid.positions + 1, dtype=torch.float64).expand(2, -1)
    scaled = grid.spread(values) * activation
    assert scaled.shape == activation.shape
    torch.testing.assert_close(grid.over_channels(scaled), values * grid.over_channels(activation))


def test_copies_of_a_state_are_copy_major():
    state = State(torch.arange(6.0).view(3, 2), torch.arange(3.0).view(3, 1, 1, 1)).repeat(2)
    assert torch.equal(state.stream, torch.arange(6.0).view(3, 2).repeat(2, 1))
    assert state.activation.flatten().tolist() == [0, 1, 2, 0, 1, 2]
