"""GridPG: how much of a map on a grid of images lies on the cell whose class is explained."""

from torch import Tensor
from torch.nn.functional import avg_pool2d

from lit_coiba.core.errors import InputError, check_count
from lit_coiba.functional import energy_inside
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.localisation.localisation import Localisation


class GridPointing(Localisation):
    """Share of a map's positive attribution that lies in the cell whose class is explained: GridPG.

    Rao, Boehle and Schiele, "Towards Better Understanding Attribution Methods", 2022 (arXiv 2205.10435), section 3.1.
    The data are `lit_coiba.data.Grids`, the region of a sample is its cell, the target its label. A uniform map on n x
    n cells scores 1/n^2. A map of few cells is enlarged bilinearly, and what crosses the border of a cell counts as
    outside: `lit_coiba.functional.oracle_ceiling` says what the cell itself scores as a map of that resolution.

    Args:
        smooth: Pixels over whose square the positive attribution is averaged before, an odd number; 1 = not at all.
        keep_samples: Whether every score is kept.

    Raises:
        InputError: The number is even or below 1.

    Example:
        >>> import torch
        >>> maps, regions = torch.tensor([[[3.0, -1.0, 1.0]]]), torch.tensor([[[True, False, False]]])
        >>> GridPointing().score(maps, regions)
        tensor([0.7500])
    """

    card = MetricCard(
        "localisation",
        "Rao, Boehle and Schiele, Towards Better Understanding Attribution Methods, 2022 (arXiv 2205.10435)",
        higher_is_better=True,
        range="0 to 1; 1/n^2 for a uniform map",
        cost="none; the n^2 cells of a grid are explained one by one",
        undefined="the region is empty, the map is not finite, or it has no positive attribution",
    )
    higher_is_better = card.higher_is_better

    def __init__(self, smooth: int = 1, keep_samples: bool = False) -> None:
        super().__init__(keep_samples)
        check_count(smooth=smooth)
        if smooth % 2 == 0:
            raise InputError(f"smooth is {smooth}: give an odd number of pixels, such as {smooth + 1}")
        self.smooth = smooth

    def measure(self, maps: Tensor, regions: Tensor) -> Tensor:
        """Shares ``(B,)``; NaN where there is no positive attribution."""
        positive = maps.clamp_min(0)
        if self.smooth > 1:
            positive = avg_pool2d(positive[:, None], self.smooth, 1, self.smooth // 2, count_include_pad=False)[:, 0]
        return energy_inside(positive, regions)
