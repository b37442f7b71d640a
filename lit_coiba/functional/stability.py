"""How far a map moves when the image does."""

from __future__ import annotations

from torch import Tensor

from lit_coiba.functional.precise import fp64_where_possible


def map_change(clean: Tensor, moved: Tensor, relative: bool = False) -> Tensor:
    """L2 norm of the difference of two maps, ``(B, h, w)`` twice -> ``(B,)`` fp64; NaN where a map is not finite.

    Args:
        clean: Maps of the images.
        moved: Maps of the same images, changed a little.
        relative: Whether to divide by the norm of `clean`, where that is not 0 (Yeh et al., 2019, as Captum has it).

    Example:
        >>> import torch
        >>> map_change(torch.tensor([[[3.0, 4.0]]]), torch.tensor([[[3.0, 5.0]]]), relative=True)
        tensor([0.2000], dtype=torch.float64)
    """
    before, after = fp64_where_possible(clean).flatten(1), fp64_where_possible(moved).flatten(1)
    change = (after - before).norm(dim=1)
    if not relative:
        return change
    size = before.norm(dim=1)
    return change / size.where(size != 0, 1.0)
