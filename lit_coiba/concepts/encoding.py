"""Activations as coefficients of concepts that are fixed, in one of three ways."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from lit_coiba.functional import precise
from lit_coiba.functional.k_means import nearest
from lit_coiba.functional.nnls import nnls

Encoding = Literal["nnls", "linear", "nearest"]


def encode(rows: Tensor, dictionary: Tensor, encoding: Encoding = "nnls") -> Tensor:
    """Coefficients ``(..., r)`` of rows ``(..., c)``, in fp32 at least.

    Args:
        rows: Activations.
        dictionary: ``(r, c)``.
        encoding: ``nnls`` = exact non-negative least squares, differentiable; ``linear`` = inner products, for
            orthonormal concepts (PCA), differentiable; ``nearest`` = 1 for the nearest concept (k-means), which has no
            gradient.

    Example:
        >>> encode(torch.tensor([2.0, -1.0]), torch.eye(2))
        tensor([2., 0.])
    """
    dictionary = dictionary.to(rows.device)
    if encoding == "nnls":
        return nnls(rows, dictionary)
    rows = precise(rows)
    dictionary = dictionary.to(rows.dtype)
    if encoding == "linear":
        return rows @ dictionary.T
    flat = rows.reshape(-1, rows.shape[-1])
    one_hot = torch.nn.functional.one_hot(nearest(flat, dictionary)[0], len(dictionary))
    return one_hot.to(rows.dtype).reshape(*rows.shape[:-1], len(dictionary))
