"""Sparse autoencoders of activations: a dictionary for all classes at once, and an encoder that is learned with it.

Gao et al., "Scaling and evaluating sparse autoencoders", 2024 (arXiv 2406.04093): top-k and the loss for dead units.
Bussmann, Leask and Nanda, "BatchTopK Sparse Autoencoders", 2024 (arXiv 2412.06410): the k largest per row on average.
"""

from __future__ import annotations

import copy
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from lit_coiba.core.arguments import checks_arguments
from lit_coiba.core.errors import InputError, check_choice, check_count
from lit_coiba.functional import noise, precise

Selection = Literal["topk", "batch_topk"]

_KEPT = 0.99  # of the threshold, in each step of training (paper of BatchTopK: a mean over batches)


class SparseLosses(NamedTuple):
    """What a sparse autoencoder makes of rows, and how good that is."""

    reconstruction: Tensor  # scalar: squared error of a row, summed over channels, mean over rows
    auxiliary: Tensor  # scalar: share of that error which dead units leave; 0 where there are none
    coefficients: Tensor  # (N, r)
    reconstructed: Tensor  # (N, c)


@checks_arguments
class SparseAutoencoder(nn.Module):
    """``z = select(ReLU(E (x - b) + e))``, and ``x ~ z D + b`` with dictionary rows of length 1.

    Args:
        in_channels: Number of channels c.
        n_concepts: Number of units r; in general more than channels.
        k: Number of units that are active in a row at most.
        selection: ``topk`` = the k largest of each row; ``batch_topk`` = in training the ``k N`` largest of N rows,
            afterwards those above a threshold that training has found, so that k is a mean.
        k_aux: Number of dead units that the auxiliary loss uses for a row; None = half the channels, as in the paper.
        seed: Seed of the dictionary that training begins with.

    Raises:
        InputError: A number outside its range.

    Example:
        >>> autoencoder = SparseAutoencoder(in_channels=4, n_concepts=8, k=2)
        >>> coefficients = autoencoder.encode(torch.randn(3, 4))
        >>> coefficients.shape, autoencoder.decode(coefficients).shape, bool(((coefficients > 0).sum(1) <= 2).all())
        (torch.Size([3, 8]), torch.Size([3, 4]), True)
    """

    threshold: Tensor

    def __init__(
        self,
        in_channels: int,
        n_concepts: int = 512,
        k: int = 16,
        selection: Selection = "topk",
        k_aux: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_count(in_channels=in_channels, n_concepts=n_concepts, k=k)
        check_count(0, seed=seed)
        if k > n_concepts:
            raise InputError(f"k is {k}, but there are {n_concepts} concepts: give a smaller k, or more n_concepts")
        if k_aux is not None:
            check_count(k_aux=k_aux)
        self.in_channels, self.n_concepts, self.k = in_channels, n_concepts, k
        self.selection: Selection = check_choice(selection, Selection, "selection")
        self.k_aux, self.seed = k_aux, seed
        start = normalize(noise(seed, 0, 0, (n_concepts, in_channels)), dim=1)
        self.dictionary = nn.Parameter(start.clone())  # (r, c)
        self.encoder = nn.Parameter(start.clone())  # (r, c): the dictionary, as in the paper
        self.encoder_bias = nn.Parameter(torch.zeros(n_concepts))
        self.pre_bias = nn.Parameter(torch.zeros(in_channels))
        self.register_buffer("threshold", torch.zeros(()))

    def encode(self, rows: Tensor) -> Tensor:
        """Coefficients ``(..., r)`` of rows ``(..., c)``, at least 0, in fp32 at least; with gradients."""
        return self._select(self._activations(rows))

    def decode(self, coefficients: Tensor) -> Tensor:
        """Rows ``(..., c)`` that coefficients ``(..., r)`` stand for."""
        return coefficients @ self.dictionary.to(coefficients.dtype) + self.pre_bias.to(coefficients.dtype)

    def forward(self, rows: Tensor) -> Tensor:
        """Rows ``(..., c)`` as they are reconstructed."""
        return self.decode(self.encode(rows))

    def losses(self, rows: Tensor, dead: Tensor | None = None) -> SparseLosses:
        """The two losses of rows ``(N, c)``, whose mean squared length should be about 1.

        Args:
            rows: Activations.
            dead: Which units have not been active for long, ``(r,)`` bool: by the auxiliary loss they learn to
                reconstruct what the others leave. None = no unit.
        """
        rows = precise(rows)
        activations = self._activations(rows)
        coefficients = self._select(activations)
        reconstructed = self.decode(coefficients)
        error = rows - reconstructed
        auxiliary = error.new_zeros(())
        if dead is not None and (count := int(dead.sum())):
            few = min(self.k_aux or max(1, self.in_channels // 2), count)
            found = _largest(activations * dead.to(activations.dtype), few) @ self.dictionary.to(activations.dtype)
            left = error.detach()
            auxiliary = (found - left).square().sum() / left.square().sum().clamp_min(torch.finfo(left.dtype).tiny)
        return SparseLosses(error.square().sum(-1).mean(), auxiliary, coefficients, reconstructed)

    @torch.no_grad()
    def constrain(self) -> None:
        """Bring the dictionary rows back to length 1, after a step of an optimizer."""
        self.dictionary.copy_(normalize(self.dictionary, dim=1))

    @torch.no_grad()
    def project_gradient(self) -> None:
        """Take out of the dictionary's gradient what would only change the rows' lengths, as in the paper."""
        if (gradient := self.dictionary.grad) is not None:
            gradient -= (gradient * self.dictionary).sum(1, keepdim=True) * self.dictionary

    def rescaled(self, center: Tensor, scale: Tensor) -> SparseAutoencoder:
        """The autoencoder of rows in their own unit, where this one is of ``(rows - center) / scale``.

        Args:
            center: ``(c,)``.
            scale: Positive number.
        """
        other = copy.deepcopy(self)
        with torch.no_grad():
            other.encoder_bias.mul_(scale)
            other.pre_bias.mul_(scale).add_(center)
            other.threshold.mul_(scale)
        return other

    def _activations(self, rows: Tensor) -> Tensor:
        rows = precise(rows)
        bias, centered = self.encoder_bias.to(rows.dtype), rows - self.pre_bias.to(rows.dtype)
        return linear(centered, self.encoder.to(rows.dtype), bias).relu()

    def _select(self, activations: Tensor) -> Tensor:
        if self.selection == "topk":
            return _largest(activations, self.k)
        if not self.training:
            return activations * (activations > self.threshold.to(activations.dtype))
        flat = activations.reshape(1, -1)
        chosen = _largest(flat, min(self.k * (flat.shape[1] // self.n_concepts), flat.shape[1])).view_as(activations)
        with torch.no_grad():
            least = chosen[chosen > 0].min() if bool((chosen > 0).any()) else self.threshold
            first = self.threshold == 0
            self.threshold.copy_(torch.where(first, least, _KEPT * self.threshold + (1 - _KEPT) * least))
        return chosen


def _largest(values: Tensor, count: int) -> Tensor:
    """The `count` largest of each row, and zeros in the place of all others."""
    found = values.topk(count, -1)
    return torch.zeros_like(values).scatter(-1, found.indices, found.values)
