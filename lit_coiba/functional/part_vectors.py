"""Which parts of the object a prototype lies on in an image, and noise that should not move it.

Huang et al., "Evaluation and Improvement of Interpretability for Self-Explainable Part-Prototype Networks", 2022 (arXiv
2212.05946), with the settings of the public code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from lit_coiba.functional.noise import noise


def part_vectors(maps: Tensor, xy: Tensor, visible: Tensor, size: tuple[int, int], half: int) -> Tensor:
    """Visible points in a box around the peak of each map, bool ``(B, T, P)``.

    The map is enlarged cubically; of equal maxima the first counts; the box of pixel r holds rows r - half to
    r + half - 1, columns likewise: 72 of them for 36.

    Args:
        maps: ``(B, T, h, w)``.
        xy: Points, ``(B, P, 2)``, continuous pixels of the image.
        visible: Visibility of the parts, ``(B, P)``, bool.
        size: Height and width of the image.
        half: Half of the side of the box in pixels.

    Example:
        >>> map, points = torch.eye(8)[:1].view(1, 1, 1, 8), torch.tensor([[[0.5, 0.5], [7.5, 0.5]]])
        >>> part_vectors(map, points, torch.ones(1, 2, dtype=torch.bool), (1, 8), half=2)
        tensor([[[ True, False]]])
    """
    large = interpolate(maps.float(), size=tuple(size), mode="bicubic", align_corners=False)
    peaks = large.flatten(2).argmax(-1)
    corner = torch.stack([peaks % size[1], torch.div(peaks, size[1], rounding_mode="floor")], -1) - half  # x, y
    away = xy.floor().long()[:, None] - corner[:, :, None]
    return ((away >= 0) & (away < 2 * half)).all(-1) & visible[:, None]


def sample_noise(ids: Sequence[str], shape: Sequence[int], std: float, clip: float, seed: int = 0) -> Tensor:
    """Normal noise for each sample, cut to [-clip, clip]: ``(B, *shape)``, fp32 on the CPU.

    A function of the id, whatever its companions in a batch.

    Example:
        >>> first, second = sample_noise(["a", "b"], (3, 8, 8), std=0.2, clip=0.25)
        >>> torch.equal(second, sample_noise(["b"], (3, 8, 8), std=0.2, clip=0.25)[0])
        True
    """
    if not ids:
        return torch.empty(0, *shape)
    numbers = [int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little") for name in ids]
    return (torch.stack([noise(seed, number, 0, shape) for number in numbers]) * std).clamp(-clip, clip)
