"""How much each concept matters for a class: total Sobol indices of the coefficients, and shares of the logit.

Fel et al., CRAFT, CVPR 2023 (arXiv 2211.10154). The closed form where the score is additive in the concepts: Fel et
al., "A Holistic Approach to Unifying Automatic Concept Extraction and Concept Importance Estimation", NeurIPS 2023
(arXiv 2306.07304).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError, check_choice, check_count
from lit_coiba.functional.quasi_random import MOST_DIMENSIONS, sobol_sequence
from lit_coiba.functional.sobol_indices import replicated_rows, total_order

Estimator = Literal["jansen", "janon", "saltelli"]
Score = Callable[[Tensor], Tensor]  # of masks (k, B, r) to the scores (k, B) of B images whose concepts are so masked

_POINTS = 8  # masks that tell whether a score is additive in the concepts
_TOLERANCE = 1e-4  # of that, in the largest sum of contributions


class ImageImportance(NamedTuple):
    """Importance of r concepts in each of B images."""

    total: Tensor  # (B, r) total Sobol indices, float64
    additive: Tensor  # (B,) bool: the indices are exact, by the closed form


class Importance(NamedTuple):
    """Importance of r concepts for a class, over the images that the model gives this class."""

    total: Tensor  # (r,) mean total Sobol index: share of the variance of the logit that the concept takes part in
    standard_error: Tensor  # (r,) of that mean, over images and their designs; NaN for a single image
    sign: Tensor  # (r,) -1, 0 or 1: whether a larger coefficient lowers or raises the logit, on average
    derivative: Tensor  # (r,) mean over images of d logit / d coefficient, summed over places
    share: Tensor  # (r,) share of the logit, signed; they sum to 1
    images: int  # number of images
    exact: float  # share of the images whose indices are exact, since the logit is additive in the concepts


def image_importance(
    score: Score,
    contributions: Tensor,
    n_samples: int = 128,
    estimator: Estimator = "jansen",
    seed: int = 0,
    closed_form: bool = True,
    numbers: Sequence[int] | None = None,
) -> ImageImportance:
    """Total Sobol indices of the concepts of each image.

    A concept is multiplied by a mask in [0, 1], the same at all places. Where the score is additive in the concepts, at
    a few masks and to 1e-4, the index of concept i is ``c_i^2 / sum_j c_j^2`` for its contributions c; else it is
    estimated. An image whose score no mask changes has zeros. Each image has a scrambling of its own (ours), so
    that the errors of the designs average out over images, and are part of their spread.

    Args:
        score: Scores ``(k, B)`` under masks ``(k, B, r)``, fp64 on the CPU: k masks of each image.
        contributions: Derivatives of the scores with respect to the masks where all of them are 1, ``(B, r)``.
        n_samples: Number of points of the scrambled Sobol design, a power of two; the score is evaluated
            ``n_samples (r + 1)`` times.
        estimator: ``jansen``, ``janon`` or ``saltelli``.
        seed: Seed of the scramblings.
        closed_form: Whether to use the closed form where it holds.
        numbers: Number of each image, by which its scrambling is drawn; None = counted from 0.

    Raises:
        InputError: The design is no power of two, or there are too many concepts for one.

    Example:
        >>> weights = torch.tensor([[1.0, 2.0, 0.0]])
        >>> image_importance(lambda masks: (masks * weights).sum(-1), weights).total
        tensor([[0.2000, 0.8000, 0.0000]], dtype=torch.float64)
    """
    check_design(n_samples, estimator)
    concepts = contributions.shape[1]
    if 2 * concepts > MOST_DIMENSIONS:
        raise InputError(f"there are {concepts} concepts: a Sobol sequence has dimensions for {MOST_DIMENSIONS // 2}")
    contributions = contributions.detach().cpu().double()
    squares = contributions.square()
    sums = squares.sum(1, keepdim=True)
    exact = squares / sums.masked_fill(sums == 0, 1.0)
    additive = torch.zeros(len(contributions), dtype=torch.bool)
    if closed_form:
        additive = _is_additive(score, contributions, seed)
        if additive.all():
            return ImageImportance(exact, additive)
    keys = range(len(contributions)) if numbers is None else numbers
    rows = torch.arange(n_samples * (concepts + 1))
    designs = [replicated_rows(sobol_sequence(n_samples, 2 * concepts, _key(seed, key)), rows) for key in keys]
    scores = score(torch.stack(designs, 1)).cpu()
    a, c = scores[:n_samples], scores[n_samples:].unflatten(0, (concepts, n_samples))
    estimated = total_order(a, c, estimator).T
    return ImageImportance(torch.where(additive.unsqueeze(1), exact, estimated), additive)


def check_design(n_samples: int, estimator: Estimator) -> None:
    """Refuse a design that is not balanced, and an estimator that does not exist.

    Raises:
        InputError: It is.
    """
    check_count(2, n_samples=n_samples)
    if n_samples & (n_samples - 1):
        raise InputError(
            f"n_samples is {n_samples}: give a power of two, such as {2 ** n_samples.bit_length()},"
            " or the points lose balance"
        )
    check_choice(estimator, Estimator, "estimator")


def class_importance(total: Tensor, derivatives: Tensor, contributions: Tensor, additive: Tensor) -> Importance:
    """Importance over images from that in each image.

    Args:
        total: ``(B, r)``.
        derivatives: ``(B, r)``: d logit / d coefficient, summed over places.
        contributions: ``(B, r)``: d logit / d mask, which is the part of the logit where it is additive.
        additive: ``(B,)``.
    """
    derivative, contribution = derivatives.double().mean(0), contributions.double().mean(0)
    whole = contribution.sum()
    spread = total.double().std(0) if len(total) > 1 else torch.full(total.shape[1:], torch.nan, dtype=torch.float64)
    return Importance(
        total.double().mean(0),
        spread / len(total) ** 0.5,
        derivative.sign(),
        derivative,
        contribution / whole if whole else torch.zeros_like(contribution),
        len(total),
        float(additive.double().mean()),
    )


def _is_additive(score: Score, contributions: Tensor, seed: int) -> Tensor:
    """Whether the scores are linear in the masks, ``(B,)``."""
    count = contributions.shape[1]
    ends = torch.stack([torch.zeros(count), torch.ones(count)]).double()
    masks = torch.cat([ends, sobol_sequence(_POINTS, count, seed)])
    scores = score(masks.unsqueeze(1).expand(-1, len(contributions), -1)).cpu().double()
    expected = scores[:1] + masks @ contributions.T
    largest = torch.maximum(contributions.abs().sum(1), torch.finfo(torch.float32).eps * scores.abs().amax(0))
    return (scores - expected).abs().amax(0) <= _TOLERANCE * largest + torch.finfo(torch.float32).tiny


def _key(seed: int, number: int) -> int:
    """Seed of the scrambling of one image."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{number}".encode(), digest_size=7).digest(), "little")
