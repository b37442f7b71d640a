"""The page of a class."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from lit_coiba.explorer.page_data.concepts import Concept
from lit_coiba.explorer.page_data.page import Certified, ClassLink, Effect, Page, Picture


class Points(msgspec.Struct, frozen=True, kw_only=True):
    """The strategy graph: images that the model gives the class, in columns of equal length."""

    id: tuple[str, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    top: tuple[int, ...]  # concept of the largest contribution: an index into `LayerConcepts.concepts`
    label: tuple[int | None, ...]
    correct: tuple[bool | None, ...]  # None = no label
    probability: tuple[float | None, ...]  # of the class
    logit: tuple[float | None, ...]
    contributions: tuple[tuple[float, ...], ...]  # of each concept to the logit
    thumb: tuple[Picture | None, ...]
    sample: tuple[str | None, ...]  # address in the gallery


class LayerConcepts(msgspec.Struct, frozen=True, kw_only=True):
    """The concepts of a class at one layer, and how well they account for its logit."""

    layer: str
    n_used: int  # images that they were found in
    n_measured: int  # images that effects are means over
    r: int
    logit: float  # mean
    bias: float | None
    residual: float | None  # mean logit that neither concepts nor bias account for
    residual_share: float | None  # |residual| / |logit|
    residual_large: bool  # more than 5%
    negative: float  # mean of all contributions below 0, of whole concepts
    positive: float
    error: float  # relative reconstruction error
    sparsity: float
    stability: float | None
    deletion: float | None  # mean change of the logit without the most important concept
    deletion_gain: Effect | None  # how much more that changes the logit than taking out another concept; None = unknown
    exact: float  # part of the images whose importance is exact
    reason: str  # why there are no concepts; empty = there are
    concepts: tuple[Concept, ...]  # by their number
    order: tuple[int, ...]  # their numbers, the most important first
    points: Points | None  # None = in `ClassPage.beside`, as "points" (of the second layer "points-1", ...), or none
    n_points: int


class Confusion(msgspec.Struct, frozen=True, kw_only=True):
    """Images of another class that the model gives this one (`incoming`), or of this one that it gives another."""

    other: ClassLink
    incoming: bool
    count: int
    top_concepts: tuple[tuple[int, int], ...]  # (concept, images): the strategies behind it, most frequent first
    examples: tuple[tuple[str, Picture | None, float | None], ...]  # id, picture, probability


class Strength(msgspec.Struct, frozen=True):
    """A prototype unit that speaks for a class."""

    unit: int
    weight: float
    address: str
    picture: Picture | None


class ClassPage(Page, frozen=True, kw_only=True):
    """The page of a class."""

    template: ClassVar[str] = "class"
    id: int
    name: str
    n_images: int  # images that the model gives the class
    n_labelled: int  # images of the class
    n_correct: int  # both
    accuracy: float | None  # None = no image of the class
    certified: Certified | None  # radii of the images that it is given, accuracy of its own; None = no certificates
    visualization: Picture | None  # an image optimized for the class
    layers: tuple[LayerConcepts, ...]  # the last layer first; empty = no concepts were looked for
    confusions: tuple[Confusion, ...]  # most frequent first
    prototypes: tuple[Strength, ...]
    gallery: str | None  # address of its first samples
    n_samples: int
    comparison: str | None  # address of the comparison with the other model
    model_hash: str
    previous: str | None  # address of the class before it
    next: str | None
