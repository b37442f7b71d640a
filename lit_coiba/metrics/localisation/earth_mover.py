"""Earth mover's score: how far a map's attribution lies from the evidence."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lit_coiba.core.errors import check_count
from lit_coiba.functional.ground_truth import cell_centers, pooled_masses
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.localisation.localisation import Localisation

_ROUNDING = 1e-12  # of all mass: a smaller difference need not be moved


class EarthMover(Localisation):
    """1 less the way that a map's magnitude has to be moved to lie evenly on the object, over the longest way there is.

    Clark, Wilming and Haufe, XAI-TRIS, 2023 (arXiv 2306.12816). Map and object are averaged over cells, and the way is
    the exact Wasserstein distance between them, with Euclidean distances between the middles of cells. 1 is best.

    Args:
        cells: Cells a side, at most; the cost grows with the fourth power.
        keep_samples: Whether every score is kept.

    Raises:
        InputError: Fewer than one cell.

    Example:
        >>> maps, regions = torch.tensor([[[0.0, 0.0, 1.0]]]), torch.tensor([[[True, False, False]]])
        >>> EarthMover().score(maps, regions), EarthMover().score(maps.flip(-1), regions)
        (tensor([0.]), tensor([1.]))
    """

    card = MetricCard(
        "localisation",
        "Clark, Wilming and Haufe, XAI-TRIS, 2023 (arXiv 2306.12816)",
        higher_is_better=True,
        range="0 to 1",
        cost="none; up to a second of a CPU",
        undefined="the region is empty, the map is not finite or 0 everywhere, or there is a single cell",
    )
    higher_is_better = card.higher_is_better

    def __init__(self, cells: int = 16, keep_samples: bool = False) -> None:
        super().__init__(keep_samples)
        check_count(cells=cells)
        self.cells = cells

    def measure(self, maps: Tensor, regions: Tensor) -> Tensor:
        """Scores ``(B,)``."""
        masses = [pooled_masses(values.double(), self.cells) for values in (maps.cpu(), regions.cpu())]
        size, grid = (maps.shape[-2], maps.shape[-1]), (masses[0].shape[-2], masses[0].shape[-1])
        centers = cell_centers(size, grid)
        ways = torch.cdist(centers, centers, compute_mode="donot_use_mm_for_euclid_dist").numpy()
        pairs = zip(*(values.flatten(1).numpy() for values in masses), strict=True)
        moved = torch.tensor([moving(one, other, ways) for one, other in pairs], dtype=torch.float64)
        longest = float(ways.max()) or torch.nan
        return (1 - moved / longest).to(maps)


def moving(mass: NDArray[np.float64], wanted: NDArray[np.float64], ways: NDArray[np.float64]) -> float:
    """The least mass times way that makes one distribution ``(n,)`` of another, by linear programming; NaN if neither.

    What both have at a place stays there, so only the difference is moved.

    Args:
        mass: The distribution that there is, which sums to 1.
        wanted: The one that is wanted.
        ways: Distances ``(n, n)``.
    """
    from scipy.optimize import linprog  # takes half a second to import
    from scipy.sparse import block_diag, csr_array, hstack, identity, vstack

    if not (np.isfinite(mass).all() and np.isfinite(wanted).all()):
        return float("nan")
    surplus = mass - wanted
    start, end = np.flatnonzero(surplus > _ROUNDING), np.flatnonzero(surplus < -_ROUNDING)
    if not len(start) or not len(end):
        return 0.0
    supply, demand = surplus[start], -surplus[end]
    demand = demand * (supply.sum() / demand.sum())
    leaving = block_diag([csr_array(np.ones((1, len(end))))] * len(start))
    arriving = hstack([identity(len(end))] * len(start))
    found = linprog(
        ways[np.ix_(start, end)].ravel(),
        A_eq=vstack([leaving, arriving]).tocsc()[:-1],  # the last follows from the others
        b_eq=np.concatenate([supply, demand])[:-1],
        method="highs",
    )
    return float(found.fun) if found.success else float("nan")
