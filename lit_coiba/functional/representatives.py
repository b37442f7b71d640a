"""Attention without parameters: positions grouped by likeness to the most active ones.

Gomez et al., "BR-NPA: A Non-Parametric High-Resolution Attention Model to improve the Interpretability of Attention",
2021 (arXiv 2106.02566).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lit_coiba.functional.precise import precise


class Representatives(NamedTuple):
    """Parts of each image, the most active first."""

    vectors: Tensor  # (B, N, C)
    maps: Tensor  # (B, N, h, w): weights of the positions, which sum to 1
    similarities: Tensor  # (B, N, h, w): cosines to the part's seed
    activity: Tensor  # (B, N, h, w): what the part's seed is the largest of
    seeds: Tensor  # (B, N) int64: positions in row-major order


def representatives(
    features: Tensor,
    parts: int,
    refine: bool = True,
    clamp: bool = False,
    scores: Tensor | None = None,
    epsilon: float = 1e-5,
) -> Representatives:
    """Extract part vectors and their maps; differentiable but for the choice of the seeds.

    The activity starts as n_j, the norm of each feature x_j plus epsilon. The most active position r is the part's
    seed, s_j = <x_j, x_r> / (n_j n_r) are the similarities, w_j = s_j / sum s the map and sum_j w_j x_j the vector;
    then the activity is multiplied with 1 - s_j, and the next part begins. A similarity sum of exactly 0 (a blank
    image) gives a map of zeros. Everything is computed in float32 at least, also under autocast.

    Args:
        features: ``(B, C, h, w)``, best non-negative: similarities to features of either sign can cancel in their sum.
        parts: N.
        refine: False: the vector is the seed's own feature (ablation of the paper).
        clamp: Negative similarities count as 0, in the map and in the activity. No value changes for non-negative
            features, but blank pixels get no gradient, where theirs would be of the order of 1 / epsilon. False is what
            the authors do.
        scores: ``(B, N, h, w)`` in place of the activity: uniform random numbers are the paper's ablation.
        epsilon: Number added to the norms.

    Example:
        >>> features = torch.tensor([[[[3.0, 2.0, 0.0]], [[0.0, 0.0, 1.0]]]])
        >>> found = representatives(features, parts=2)
        >>> found.seeds, found.maps.squeeze(2)
        (tensor([[0, 2]]), tensor([[[0.5000, 0.5000, 0.0000],
                 [0.0000, 0.0000, 1.0000]]]))
    """
    grid = (features.shape[-2], features.shape[-1])
    with torch.autocast(features.device.type, enabled=False):
        x = precise(features).flatten(2)
        norms = torch.linalg.vector_norm(x, dim=1) + epsilon
        activities, seeds, similarities = [norms], [], []
        for part in range(parts):
            if scores is not None:
                activities[part] = scores[:, part].flatten(1).to(norms)
            seed = activities[part].argmax(-1, keepdim=True)
            chosen = x.gather(2, seed.unsqueeze(1).expand(-1, x.shape[1], -1))
            cosines = (chosen.transpose(1, 2) @ x).squeeze(1) / (norms * norms.gather(1, seed))
            cosines = cosines.clamp_min(0) if clamp else cosines
            seeds.append(seed.squeeze(1))
            similarities.append(cosines)
            activities.append((1 - cosines) * activities[part])
        stacked, positions = torch.stack(similarities, 1), torch.stack(seeds, 1)
        sums = stacked.sum(-1, keepdim=True)
        maps = stacked / torch.where(sums == 0, 1, sums)
        rows = x.transpose(1, 2)
        vectors = maps @ rows if refine else rows.gather(1, positions.unsqueeze(-1).expand(-1, -1, x.shape[1]))
        activity = torch.stack(activities[:parts], 1)
    placed, similar, active = (values.unflatten(-1, grid) for values in (maps, stacked, activity))
    return Representatives(vectors, placed, similar, active, positions)
