"""Norms of convolutions against the singular values of the matrix that each of them is."""

import pytest
import torch
from torch import nn

from lit_coiba.core.errors import InputError
from lit_coiba.lipschitz.convolution_norm import convolution_norm


def layer(**arguments):
    torch.manual_seed(0)
    made = nn.Conv2d(**{"in_channels": 4, "out_channels": 6, "kernel_size": 3, "bias": False} | arguments)
    return made.double()


def dense_norm(convolution, size):
    """The largest singular value of the matrix, column by column."""
    columns = torch.eye(convolution.in_channels * size[0] * size[1], dtype=torch.float64)
    with torch.no_grad():
        matrix = convolution(columns.view(-1, convolution.in_channels, *size)).flatten(1)
    return torch.linalg.matrix_norm(matrix, ord=2).item()


EXACT = [
    {"padding": 1},
    {"padding": 1, "stride": 2},
    {"padding": 0, "stride": 2, "kernel_size": 2},
    {"padding": 2, "kernel_size": 5},
    {"padding": 2, "dilation": 2},
    {"padding": 1, "groups": 2},
    {"padding": (1, 2), "kernel_size": (3, 5), "stride": (1, 2)},
    {"padding": "same"},
    {"padding": 3, "kernel_size": 7},
]


@pytest.mark.parametrize("arguments", EXACT, ids=str)
def test_a_circular_convolution_of_the_whole_image_is_exact(arguments):
    for size in ((4, 6), (6, 8)):
        convolution = layer(padding_mode="circular", **arguments)
        assert convolution_norm(convolution, size) == pytest.approx(dense_norm(convolution, size), rel=1e-9)


@pytest.mark.parametrize(
    "arguments",
    [
        *({"padding_mode": "zeros", **one} for one in EXACT),
        {"padding": 0},
        {"padding": 3},
        {"padding": 2, "padding_mode": "circular"},  # some places are put out twice
        {"padding": 1, "stride": 3, "padding_mode": "circular"},
        {"padding": 0, "stride": 2, "padding_mode": "circular"},
    ],
    ids=str,
)
def test_every_other_one_is_bounded(arguments):
    for size in ((4, 7), (5, 8)):
        convolution = layer(**arguments)
        exact, found = dense_norm(convolution, size), convolution_norm(convolution, size)
        assert exact * (1 - 1e-12) <= found <= 4 * exact


def test_zeros_around_a_large_image_cost_little():
    convolution = layer(padding=1)
    assert convolution_norm(convolution, (16, 16)) == pytest.approx(dense_norm(convolution, (16, 16)), rel=0.02)


def test_reflections_are_refused():
    with pytest.raises(InputError, match="'reflect', whose norm is not known"):
        convolution_norm(layer(padding=1, padding_mode="reflect"), (8, 8))
