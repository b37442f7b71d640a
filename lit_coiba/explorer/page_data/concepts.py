"""One concept of a class: its card on the page of the class, and a page of its own."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from lit_coiba.explorer.page_data.page import ClassLink, Effect, Page, Picture


class Crop(msgspec.Struct, frozen=True):
    """A crop that shows a concept strongly."""

    picture: Picture
    image: str  # id
    coefficient: float | None
    box: tuple[int, int, int, int]  # top, left, bottom, right in pixels of the model's input
    map: Picture | None  # where in the image the concept is


class ClosestClass(msgspec.Struct, frozen=True):
    """A class whose weights point where a concept does."""

    id: int
    name: str
    cosine: float
    address: str | None


class SimilarConcept(msgspec.Struct, frozen=True):
    """A concept of another class that is nearly the same direction."""

    id: int  # the class
    name: str  # of the class
    concept: int
    concept_name: str
    cosine: float
    address: str  # of the concept's page
    color: str


class Concept(msgspec.Struct, frozen=True, kw_only=True):
    """A concept of a class. Effects are changes of the class's logit."""

    id: int
    name: str  # given by people, or "Concept 3"
    named: bool  # whether people gave the name
    address: str  # of its page
    color: str
    importance: float  # mean total Sobol index
    standard_error: float | None
    sign: Literal[-1, 0, 1]  # whether more of it lowers or raises the logit
    share: float  # signed part of what the concepts contribute; all shares of a class add up to 1
    percent: int | None  # the same, rounded so that those of a class add up to 100; None = not defined
    contribution: Effect
    deletion: Effect  # when it alone is taken out
    keep_only: Effect  # when all others are taken out
    raised: Effect  # when it is twice as strong
    n_top: int  # images whose top concept it is
    important: bool  # at least ten
    stability: float | None
    xy: tuple[float, float] | None  # place among the concepts; None = not known
    visualization: Picture | None  # an image optimized for it, with transparency
    crops: tuple[Crop, ...]  # strongest first
    closest_classes: tuple[ClosestClass, ...]
    similar: tuple[SimilarConcept, ...]  # strongest first
    flag: str = ""  # why it may be a bias, a sentence; empty = nothing was found


class ConceptPage(Page, frozen=True, kw_only=True):
    """The page of one concept."""

    template: ClassVar[str] = "concept"
    cls: ClassLink
    layer: str
    concept: Concept
    examples: tuple[tuple[str, Picture | None, float], ...]  # images of largest contribution: id, picture, contribution
    total: float  # mean logit of the class
    previous: str | None  # address of the concept before it
    next: str | None
