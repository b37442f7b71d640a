"""MST-C: how much in one place the strongest cells of a map lie."""

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from lit_coiba.functional import compactness, highest_cells
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.maps import checked_maps, not_finite
from lit_coiba.metrics.metric import Metric

SHARE = 0.2  # of the cells, those from the 80th percentile on


class MSTCompactness(Metric):
    """Cells per length of the spanning tree of a map's strongest fifth, over the root of their hull's area: MST-C.

    arXiv 2603.29491: ``100 * diagonal / sqrt(hull area) * cells / tree length``, of the cells whose absolute value is
    in the highest fifth of the map's own grid: exactly ``round(0.2 n)`` of them, of equal ones the first. The tree is
    the exact Euclidean one. A block of n x n cells has ``100 D n^2 / ((n^2 - 1) (n - 1))``. It rewards form, not truth:
    no part of a combined rank.

    Args:
        keep_samples: Whether every score is kept.

    Example:
        >>> maps = torch.zeros(1, 5, 9)
        >>> maps[0, 1:4, 2:5] = 1.0
        >>> MSTCompactness().score(maps)  # 100 D 9 / (8 * 2) with the diagonal D of 5 x 9 cells
        tensor([579.1292])
    """

    card = MetricCard(
        "complexity",
        "MST-C, 2026 (arXiv 2603.29491)",
        higher_is_better=True,
        range="above 0; percent of the diagonal per cell",
        cost="none",
        undefined="the map is zero everywhere or not finite, or its strongest fifth is fewer than 3 cells or a line",
    )
    higher_is_better = card.higher_is_better
    needs: ClassVar[tuple[str, ...]] = ("maps",)

    def score(self, maps: Tensor) -> Tensor:
        """Compactness ``(B,)`` of maps ``(B, h, w)``."""
        maps = checked_maps(maps, len(maps))
        chosen = highest_cells(maps.abs(), SHARE)
        measured = [tree_and_hull(np.argwhere(cells)) for cells in chosen.cpu().numpy()]
        length, area = maps.new_tensor(measured).reshape(-1, 2).unbind(1)
        diagonal = float(np.hypot(*maps.shape[1:]))
        scores = compactness(chosen.sum((-2, -1)), length, area, diagonal)
        nothing = (maps == 0).flatten(1).all(1)
        return scores.masked_fill(nothing | not_finite(maps) | (area == 0), torch.nan)


def tree_and_hull(points: np.ndarray) -> tuple[float, float]:
    """Length of the Euclidean minimum spanning tree of points ``(n, 2)``, and the area of their hull.

    The tree is a part of every Delaunay triangulation, which has three times as many edges as points, so that it is
    exact and fast. Both are 0 for points on one line.
    """
    if len(points) < 3 or np.linalg.matrix_rank(points - points[0]) < 2:
        return 0.0, 0.0
    from scipy.sparse import coo_array  # a tenth of a second to import
    from scipy.sparse.csgraph import minimum_spanning_tree
    from scipy.spatial import ConvexHull, Delaunay

    corners = Delaunay(points).simplices
    edges = np.unique(np.sort(np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])), axis=0)
    first, last = edges.T
    lengths = np.linalg.norm(points[first] - points[last], axis=1)
    tree = minimum_spanning_tree(coo_array((lengths, (first, last)), shape=(len(points),) * 2))
    return float(tree.sum()), float(ConvexHull(points).volume)
