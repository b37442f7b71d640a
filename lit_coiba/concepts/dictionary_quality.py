"""How good dictionaries are, side by side: what they reconstruct, how sparsely, and with how many of their concepts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torchmetrics import Metric

from lit_coiba.functional import fp64_where_possible

_ROWS = 4096  # that are encoded at once


class Quality(NamedTuple):
    """How good a dictionary is on some rows."""

    error: Tensor  # scalar: ||A - A_hat|| / ||A||, Frobenius norms
    l0: Tensor  # scalar: mean number of active concepts in a row
    dead: Tensor  # scalar: share of the concepts that are active in no row
    rows: Tensor  # scalar int64
    frequency: Tensor  # (r,) share of the rows in which each concept is active


class Dictionary(Protocol):
    """What encodes rows and reconstructs them: `Concepts`, `ConceptDictionary`, `SparseAutoencoder`, `Factors`."""

    def encode(self, rows: Tensor) -> Tensor:
        """Coefficients ``(N, r)`` of rows ``(N, c)``."""

    def decode(self, coefficients: Tensor) -> Tensor:
        """Rows ``(N, c)`` that coefficients stand for."""


class DictionaryQuality(Metric):
    """Reconstruction, sparsity and dead concepts over batches of rows, and over processes.

    Args:
        n_concepts: Number of concepts r.

    Example:
        >>> quality = DictionaryQuality(2)
        >>> quality.update(torch.eye(2), torch.tensor([[0.5, 0.0], [0.5, 0.0]]), 0.5 * torch.eye(2))
        >>> [part.item() for part in quality.compute()[:4]]
        [0.5, 1.0, 0.5, 2]
    """

    full_state_update = False
    residual: Tensor
    size: Tensor
    rows: Tensor
    active: Tensor

    def __init__(self, n_concepts: int) -> None:
        super().__init__()
        for name in ("residual", "size"):
            self.add_state(name, torch.zeros(()), dist_reduce_fx="sum")  # fp64 once there are sums
        self.add_state("rows", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("active", torch.zeros(n_concepts, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, rows: Tensor, coefficients: Tensor, reconstructed: Tensor) -> None:
        """Take account of rows ``(N, c)``, their coefficients ``(N, r)`` and what these reconstruct, ``(N, c)``."""
        wide = fp64_where_possible(rows.detach())
        self.residual = self.residual + (wide - reconstructed.detach()).square().sum()
        self.size = self.size + wide.square().sum()
        self.rows = self.rows + len(rows)
        self.active = self.active + (coefficients.detach() != 0).sum(0)

    def compute(self) -> Quality:
        """All of it, of all processes."""
        rows = self.rows.clamp_min(1)
        error = (self.residual / self.size.masked_fill(self.size == 0, 1.0)).sqrt()
        frequency = (self.active / rows).float()
        return Quality(error, frequency.sum(), (self.active == 0).float().mean(), self.rows, frequency)


class DictionaryScore(NamedTuple):
    """A row of the table that compares dictionaries."""

    name: str
    concepts: int
    error: float
    l0: float
    dead: float
    rows: int


@torch.no_grad()
def dictionary_score(name: str, *parts: tuple[Tensor, Dictionary]) -> DictionaryScore:
    """How good one dictionary is, or several that share the rows, such as one for each class.

    Args:
        name: What to call it.
        *parts: Rows ``(N, c)`` and the dictionary that encodes them. With several, errors are those over all rows, and
            the concepts of all of them count.

    Example:
        >>> from lit_coiba.concepts import Factors
        >>> factors = Factors(torch.eye(2), torch.eye(2), 0.0)
        >>> dictionary_score("planted", (torch.eye(2), factors))
        DictionaryScore(name='planted', concepts=2, error=0.0, l0=1.0, dead=0.0, rows=2)
    """
    whole: list[tuple[Any, ...]] = []
    for rows, dictionary in parts:
        quality: DictionaryQuality | None = None
        for some in rows.split(_ROWS):
            coefficients = dictionary.encode(some)
            quality = quality or DictionaryQuality(coefficients.shape[1])
            quality.update(some, coefficients, dictionary.decode(coefficients))
        if quality is not None:
            whole.append((quality.residual, quality.size, quality.active, quality.rows))
    residual, size, rows_seen = (float(sum(part[index] for part in whole)) for index in (0, 1, 3))
    active = torch.cat([part[2] for part in whole]) if whole else torch.zeros(0)
    return DictionaryScore(
        name,
        len(active),
        (residual / size) ** 0.5 if size else 0.0,
        float(active.sum()) / max(1.0, rows_seen),
        float((active == 0).float().mean()) if len(active) else 0.0,
        int(rows_seen),
    )


def dictionary_table(scores: Iterable[DictionaryScore]) -> str:
    """The scores as a table in Markdown.

    Example:
        >>> print(dictionary_table([DictionaryScore("NMF", 10, 0.25, 3.0, 0.1, 500)]))
        | dictionary | concepts | relative error | mean L0 | dead | rows |
        |---|---:|---:|---:|---:|---:|
        | NMF | 10 | 0.250 | 3.0 | 10.0% | 500 |
    """
    head = ["| dictionary | concepts | relative error | mean L0 | dead | rows |", "|---|---:|---:|---:|---:|---:|"]
    return "\n".join(
        [
            *head,
            *(
                f"| {one.name.replace('|', '/')} | {one.concepts:,} | {one.error:.3f} | {one.l0:.1f} |"
                f" {one.dead:.1%} | {one.rows:,} |"
                for one in scores
            ),
        ]
    )
