"""RV coefficient: how much two sets of columns say the same about their rows."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

CONSTANT = 1e-12  # a column whose deviations have less than this share of its squares counts as constant


class ChannelRV(NamedTuple):
    """How much channels repeat each other."""

    mean: Tensor  # () fp64, in [0, 1]: over pairs of different channels; NaN where there is no pair
    constant: Tensor  # () int64: channels left out, since they do not vary


def rv_coefficient(x: Tensor, y: Tensor) -> Tensor:
    """RV of two matrices with the same n rows, scalar fp64 in [0, 1]; NaN where one of them does not vary.

    RV = tr(XX' YY') / sqrt(tr((XX')^2) tr((YY')^2)) of centered columns (Escoufier, 1973), by way of the small
    products: tr(XX' YY') is the sum of the squares of X'Y. Of single columns it is their squared Pearson correlation.

    Args:
        x: ``(n, p)``.
        y: ``(n, q)``.

    Raises:
        ValueError: The numbers of rows differ.

    Example:
        >>> rv_coefficient(torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[1.0], [0.0], [1.0]]))
        tensor(0., dtype=torch.float64)
    """
    if x.dim() != 2 or y.dim() != 2 or len(x) != len(y):
        raise ValueError(f"RV of matrices of shapes {tuple(x.shape)} and {tuple(y.shape)}: give two with the same rows")
    x, y = (values.double() - values.double().mean(0) for values in (x, y))
    return _energy(x, y) / (_energy(x, x) * _energy(y, y)).sqrt()


def channel_rv(values: Tensor) -> ChannelRV:
    """Mean RV over pairs of different columns of ``(n, D)``, each column a matrix of its own: low = disentangled.

    InfoDisent (arXiv 2409.10329) reports an RV coefficient between channels and does not say how they are arranged;
    one column for each channel is a reconstruction.

    Example:
        >>> channel_rv(torch.tensor([[0.0, 0.0, 5.0], [1.0, 2.0, 5.0], [2.0, 4.0, 5.0]]))
        ChannelRV(mean=tensor(1., dtype=torch.float64), constant=tensor(1))
    """
    values = values.double()
    return rv_of_products(values.shape[0], values.sum(0), values.T @ values)


def rv_of_products(rows: int | Tensor, sums: Tensor, products: Tensor) -> ChannelRV:
    """`channel_rv` of what a stream leaves: the number of rows, sums of columns ``(D,)`` and products ``(D, D)``."""
    squares = products.diagonal()
    centred = products - sums.outer(sums) / rows
    varying = centred.diagonal() > CONSTANT * squares
    kept = centred[varying][:, varying]
    norms = kept.diagonal()
    correlations = kept.square() / norms.outer(norms)
    count = len(kept)
    off = (correlations.sum() - correlations.diagonal().sum()) / (count * (count - 1) or torch.nan)
    return ChannelRV(off, (~varying).sum())


def _energy(x: Tensor, y: Tensor) -> Tensor:
    return (x.T @ y).square().sum()
