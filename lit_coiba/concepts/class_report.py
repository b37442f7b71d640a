"""What is known of the concepts of one class, as plain values: the file ``class.json`` of a concept run."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

_Count = Annotated[int, msgspec.Meta(ge=0)]


class Effect(msgspec.Struct, frozen=True):
    """A mean over images, with the ends of its 95% bootstrap interval."""

    mean: float
    low: float
    high: float


class ConceptReport(msgspec.Struct, frozen=True):
    """One concept of a class. Effects are changes of the class's logit in images that the model gives the class."""

    importance: float  # mean total Sobol index
    standard_error: float | None  # of that mean; None = a single image
    sign: Literal[-1, 0, 1]  # of its contribution: whether the concept lowers or raises the logit
    share: float  # signed share of what the concepts contribute to the logit; shares sum to 1
    contribution: Effect  # to the logit: coefficient times derivative
    deletion: Effect  # change of the logit when the concept alone is taken out of the activations
    keep_only: Effect  # change when all that is not this concept is taken out
    raised: Effect  # change when the concept is twice as strong
    top_of: _Count  # images in which its contribution is the largest
    color: str  # of dots, bars and cards, such as "#4e79a7"
    xy: tuple[float, float]  # place in the plane of concepts; near = similar
    closest_classes: tuple[tuple[int, float], ...]  # (class, cosine) of the classifier's weights; empty if not linear
    stability: (
        float | None
    )  # cosine with its partner when the concepts are found in half of the images, the mean of two

    @property
    def important(self) -> bool:
        """Whether it is the top concept of ten images or more."""
        return self.top_of >= IMPORTANT


class ClassReport(msgspec.Struct, frozen=True, kw_only=True):
    """The concepts of a class, and how well they account for its logit."""

    cls: _Count
    name: str
    layer: str
    predicted: _Count  # images that the model gives the class
    used: _Count  # those of them that the concepts were found in
    measured: _Count  # those of them that effects are means over
    crop_size: _Count  # side of the crops in pixels; 0 = positions of the layer
    rows: _Count  # crops or positions that were factorized
    error: float  # relative reconstruction error of the rows
    sparsity: float  # share of the rows' coefficients that are zero
    logit: float  # mean over the measured images
    bias: float | None  # of the linear classifier; None = there is none, or it is not linear
    residual: float | None  # mean logit that neither the concepts nor the bias account for; None as above
    exact: float  # share of images whose importance is exact, since the logit is additive in the concepts
    stability: float | None  # mean of that of the concepts
    top_deletion: Effect | None  # deleting the most important concept that raises the logit, less deleting another one
    concepts: tuple[ConceptReport, ...]
    reason: str = ""  # why there are none, where there are none


IMPORTANT = 10  # images that an important concept is the top concept of, at least
# Distinct in light and dark, and for most color-blind people; concept k has color k modulo their number.
COLORS = (
    *("#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2", "#b07aa1", "#edc948", "#9c755f", "#ff9da7", "#79706e"),
    *("#1b9e77", "#d95f02", "#7570b3", "#e7298a", "#66a61e", "#a6761d", "#2f6f9f", "#c2478b", "#5b8c5a", "#8f5d2b"),
)
