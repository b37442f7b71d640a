"""Where the evidence for the class is in SyntheticParts, also of objects with parts dropped."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from lit_coiba.data.synthetic.classes import PARTS
from lit_coiba.data.synthetic.dataset import SyntheticPartsDataset


def evidence(dataset: SyntheticPartsDataset, indices: Sequence[int], present: Tensor | None = None) -> Tensor:
    """The union of the parts that are left of some samples, 1 inside and 0 outside, float32 ``(B, H, W)``.

    Args:
        dataset: The samples.
        indices: Which of them.
        present: The parts that are left, bool ``(B, 5)``; None = all.

    Example:
        >>> dataset = SyntheticPartsDataset("val")
        >>> torch.equal(evidence(dataset, [3])[0], dataset.region(3).float())
        True
    """
    owner = torch.from_numpy(dataset.layers(indices).owner).long()
    left = torch.ones(len(owner), len(PARTS)) if present is None else present.float()
    return pad(left, (1, 1)).gather(1, owner.flatten(1)).view(owner.shape)  # neither background nor body is evidence
