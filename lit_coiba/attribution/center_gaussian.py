"""A Gaussian in the middle of the picture: a trivial baseline (sanity check) that knows neither picture nor model.

Objects are mostly in the middle of photographs, so it is hard to beat where localization is measured.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lit_coiba.core.errors import check_positive
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod, Card
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved


class CenterGaussian(AttributionMethod):
    """The same Gaussian for every picture, at pixel resolution, 1 in the middle; it runs no model.

    Args:
        sigma: Standard deviation, as a share of the height along the rows and of the width along the columns.

    Raises:
        InputError: `sigma` is not a number above 0.
    """

    card = Card("", "none", class_dependent=False, baseline=True)

    def __init__(self, sigma: float = 0.25) -> None:
        check_positive(sigma=sigma)
        self.sigma = sigma

    def _explain(self, model: Network, images: Tensor, targets: Resolved) -> Explanation:
        rows, columns = (_bell(side, self.sigma) for side in images.shape[-2:])
        map = (rows.unsqueeze(-1) * columns).to(images.dtype).to(images.device)
        return Explanation(map.repeat(len(images), 1, 1), {})


def _bell(side: int, sigma: float) -> Tensor:
    """Weights of `side` pixels, fp64 ``(side,)``, by the distance of their middles from the middle of the side."""
    distance = (torch.arange(side, dtype=torch.float64) + 0.5) / side - 0.5
    return torch.exp(-0.5 * (distance / sigma) ** 2)
