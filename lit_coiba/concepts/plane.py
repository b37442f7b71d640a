"""Points of many dimensions in a plane, near where they are alike: t-SNE, and what is drawn of a handful of points.

van der Maaten and Hinton, "Visualizing Data using t-SNE", JMLR 2008. By scikit-learn.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError

PERPLEXITY = 30.0
FEW = 5  # points that have no neighborhoods yet: their principal components are drawn


def plane(points: Tensor, seed: int = 0) -> Tensor:
    """Coordinates ``(n, 2)`` float32 in [-1, 1] of points ``(n, d)``.

    t-SNE of perplexity min(30, n / 4), which starts from the principal components; fewer than five points, or points
    that all are the same, are drawn by their principal components.

    Args:
        points: The points.
        seed: Seed of t-SNE.

    Raises:
        InputError: scikit-learn is missing.
    """
    points = points.double().cpu()
    centered = points - points.mean(0, keepdim=True) if len(points) else points
    if len(points) < FEW or not centered.abs().max() > 0:
        return _scaled(_principal(centered)).float()
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise InputError("the plane of points needs scikit-learn: pip install 'lit-coiba[concepts]'") from error
    scaled = (centered / centered.std()).float().numpy()
    found = TSNE(
        perplexity=min(PERPLEXITY, len(points) / 4),
        init="pca" if points.shape[1] > 1 else "random",
        learning_rate="auto",
        random_state=seed,
        n_jobs=1,
    ).fit_transform(scaled)
    return _scaled(torch.from_numpy(found).double()).float()


def _principal(centered: Tensor) -> Tensor:
    """The first two principal components, each with its largest entry positive; zeros where there are fewer."""
    if not len(centered):
        return centered.new_zeros(0, 2)
    left, sizes, _ = torch.linalg.svd(centered, full_matrices=False)
    found = torch.nn.functional.pad(left * sizes, (0, 2))[:, :2]
    largest = found.gather(0, found.abs().argmax(0, keepdim=True))
    return found * torch.where(largest < 0, -1.0, 1.0)


def _scaled(points: Tensor) -> Tensor:
    """In the middle of the plane, and inside of [-1, 1]."""
    if not len(points):
        return points
    middle = (points.amax(0) + points.amin(0)) / 2
    size = (points - middle).abs().max()
    return (points - middle) / size.masked_fill(size == 0, 1.0)
