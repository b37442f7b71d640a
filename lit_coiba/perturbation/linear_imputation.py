"""Removed pixels filled in from their neighbors, so that neither a color nor an outline tells where they were.

Rong et al., ROAD, 2022 (arXiv 2202.00449), section 4.1: noisy linear imputation.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lit_coiba.functional import keyed_noise

DIRECT, DIAGONAL = 1 / 6, 1 / 12  # weights of neighbors along an axis, and across
NEIGHBORS = [  # down, right, weight
    (down, right, DIAGONAL if down and right else DIRECT)
    for down, right in product((-1, 0, 1), repeat=2)
    if down or right
]


def impute_linearly(images: Tensor, removed: Tensor, noise: Tensor | None = None) -> Tensor:
    """Images whose removed pixels are the weighted means of their eight neighbors, of those that are removed too.

    Each image is one sparse system, solved in fp64 for all channels at once. Neighbors outside the image have no
    weight. An image without any pixel left is NaN where it has to be filled in: there is nothing to do it from.

    Args:
        images: ``(B, C, H, W)``.
        removed: Which pixels are filled in ``(B, H, W)``, bool.
        noise: What is added to them ``(B, C, H, W)``; None = nothing.

    Example:
        >>> images, removed = torch.tensor([[[[0.0, 9.0, 2.0]]]]), torch.tensor([[[False, True, False]]])
        >>> impute_linearly(images, removed)
        tensor([[[[0., 1., 2.]]]])
    """
    pixels = images.detach().double().cpu().numpy()  # on the CPU in fp64: MPS has none
    masks = removed.cpu().numpy()
    filled = np.stack([_filled(image, mask) for image, mask in zip(pixels, masks)]) if len(pixels) else pixels
    found = torch.from_numpy(filled).to(images.dtype).to(images.device)
    return torch.where(removed.unsqueeze(1), found if noise is None else found + noise, images)


def _filled(image: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """One image ``(C, H, W)`` with what is removed ``(H, W)`` filled in."""
    from scipy.sparse import csc_matrix  # a tenth of a second to import, and few metrics impute
    from scipy.sparse.linalg import splu

    count = int(mask.sum())
    if count in (0, mask.size):
        return image if count == 0 else np.full_like(image, np.nan)
    (height, width), (rows, columns) = mask.shape, np.nonzero(mask)
    number = np.full(mask.shape, -1)
    number[rows, columns] = np.arange(count)
    total, known = np.zeros(count), np.zeros((count, len(image)))
    entries = []
    for down, right, weight in NEIGHBORS:
        there = (rows + down >= 0) & (rows + down < height) & (columns + right >= 0) & (columns + right < width)
        own = np.flatnonzero(there)
        beside = rows[own] + down, columns[own] + right
        total[own] += weight
        unknown = mask[beside]
        known[own[~unknown]] += weight * image[:, beside[0][~unknown], beside[1][~unknown]].T
        entries.append((own[unknown], number[beside][unknown], np.full(unknown.sum(), -weight)))
    entries.append((np.arange(count), np.arange(count), total))
    ours, others, values = (np.concatenate(part) for part in zip(*entries))
    system = csc_matrix((values, (ours, others)), shape=(count, count))
    solved = splu(system, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve(known)
    result = image.copy()
    result[:, rows, columns] = solved.T
    return result


def imputation_noise(
    seed: int, strength: float, images: Tensor, rows: Tensor, copies: Tensor, ids: Sequence[str]
) -> Tensor | None:
    """Noise of filled in copies of images ``(n, C, H, W)``, of each sample and copy another; None where there is none.

    Args:
        seed: Seed of the draws, which depend on it, the sample's id and the number of the copy only.
        strength: Standard deviation, in model input; 0 = none.
        images: The copies' images ``(n, C, H, W)``.
        rows: Number of each copy's sample ``(n,)``.
        copies: Number of each copy ``(n,)``.
        ids: Ids of the samples.
    """
    if not strength:
        return None
    drawn = [
        keyed_noise(seed, [ids[row]], f"road {copy}", images.shape[1:])
        for row, copy in zip(rows.tolist(), copies.tolist())
    ]
    return strength * torch.cat(drawn).to(images)
