"""Infidelity without the model: how far what a map says of perturbations is from what they cost."""

from torch import Tensor

from lit_coiba.functional.precise import fp64_where_possible


def infidelity(told: Tensor, drops: Tensor, scaled: bool = False) -> Tensor:
    """Mean of ``(told - drop)^2`` over the perturbations of each image, fp64: ``(B, m)`` and ``(B, m)`` -> ``(B,)``.

    Yeh et al., 2019 (arXiv 1901.09392), definition 2.1, and its best scaling of the map.

    Args:
        told: Sum of the map times each perturbation.
        drops: Score of the image less that of the perturbed one.
        scaled: Whether the map is multiplied with the number that makes the mean smallest.

    Example:
        >>> import torch
        >>> told, drops = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 6.0]])
        >>> infidelity(told, drops), infidelity(told, drops, scaled=True)
        (tensor([10.], dtype=torch.float64), tensor([0.], dtype=torch.float64))
    """
    told, drops = fp64_where_possible(told), fp64_where_possible(drops)
    if scaled:
        power = told.square().sum(1, keepdim=True)
        told = told * (told * drops).sum(1, keepdim=True) / power.masked_fill(power == 0, 1)
    return (told - drops).square().mean(1)
