"""K-means: rows as members of clusters.

Lloyd's iterations from the start of Arthur and Vassilvitskii, "k-means++", 2007.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lit_coiba.functional.precise import fp64_where_possible


def k_means(rows: Tensor, clusters: int, seed: int = 0, iterations: int = 100) -> tuple[Tensor, Tensor]:
    """Centroids ``(clusters, c)``, fp64 where the device has it, and the cluster of each row, ``(N,)``.

    A cluster that loses all its rows begins again at the row that is farthest from its own centroid.

    Args:
        rows: ``(N, c)``, with N of at least `clusters`.
        clusters: Number of clusters.
        seed: Seed of the start.
        iterations: Number of iterations at most; it ends earlier where no row changes its cluster.

    Example:
        >>> centroids, members = k_means(torch.tensor([[0.0], [1.0], [10.0], [11.0]]), 2)
        >>> sorted(centroids.flatten().tolist()), bool(members[0] == members[1] != members[2])
        ([0.5, 10.5], True)
    """
    rows = fp64_where_possible(rows)
    centroids = _start(rows, clusters, torch.Generator().manual_seed(seed))
    members, distances = nearest(rows, centroids)
    for _ in range(iterations):
        sizes = torch.bincount(members, minlength=clusters)
        sums = torch.zeros_like(centroids).index_add_(0, members, rows)
        centroids = sums / sizes.clamp_min(1).unsqueeze(1).to(rows.dtype)
        if (empty := (sizes == 0).nonzero().flatten()).numel():
            centroids[empty] = rows[distances.topk(len(empty)).indices]
        before = members
        members, distances = nearest(rows, centroids)
        if torch.equal(members, before):
            break
    return centroids, members


def nearest(rows: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest centroid of each row, ``(N,)``, and its squared distance, ``(N,)``.

    Example:
        >>> nearest(torch.tensor([[0.0, 3.0]]), torch.eye(2))
        (tensor([1]), tensor([4.]))
    """
    squares = rows.square().sum(1, keepdim=True) - 2 * rows @ centroids.T + centroids.square().sum(1)
    distances, found = squares.min(1)
    return found, distances.clamp_min(0)


def _start(rows: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
    """Rows drawn one after the other, each with a probability that grows with its squared distance to the others."""
    draws = torch.rand(clusters, generator=generator, dtype=torch.float64).to(rows)
    chosen = rows[(draws[:1] * len(rows)).long()]
    distances = nearest(rows, chosen)[1]
    for draw in draws[1:]:
        sums = distances.cumsum(0)
        place = torch.searchsorted(sums, draw * sums[-1:]).clamp_max(len(rows) - 1)
        chosen = torch.cat([chosen, rows[place]])
        distances = torch.minimum(distances, nearest(rows, rows[place])[1])
    return chosen
