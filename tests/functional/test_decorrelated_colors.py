"""The color matrix, as a row vector from the left, and back."""

import numpy as np
import torch

from lit_coiba.functional import from_rgb, to_rgb

ROWS = np.array([[0.5628, 0.5845, 0.5845], [0.1948, 0.0, -0.1948], [0.0433, -0.1082, 0.0649]])


def test_a_pixel_is_a_row_vector():
    values = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)).double()
    wanted = np.einsum("bihw,ij->bjhw", values.numpy(), ROWS)
    assert np.allclose(to_rgb(values), wanted)
    assert np.allclose(to_rgb(values)[1, :, 2, 3], values[1, :, 2, 3].numpy() @ ROWS)


def test_back_is_the_same():
    values = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0)).double()
    assert torch.allclose(from_rgb(to_rgb(values)), values)
