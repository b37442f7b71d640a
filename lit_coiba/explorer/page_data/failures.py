"""Where the model fails."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from lit_coiba.explorer.page_data.galleries import Sample
from lit_coiba.explorer.page_data.page import ClassLink, Page


class WorstClass(msgspec.Struct, frozen=True):
    """A class with a low accuracy."""

    cls: ClassLink
    accuracy: float
    count: int  # images of the class
    taken_for: ClassLink | None  # the class that its images are most often given instead
    taken_count: int


class ConfusedPair(msgspec.Struct, frozen=True):
    """Images of one class that are given another."""

    label: ClassLink
    predicted: ClassLink
    count: int


class LowScore(msgspec.Struct, frozen=True):
    """An explanation that lies outside of the object."""

    id: str
    method: str
    target: ClassLink
    score: float  # of the metric: part of the map's energy on the object
    address: str | None  # of the sample in the gallery


class FailuresPage(Page, frozen=True, kw_only=True):
    """Worst classes, most confident errors, explanations on the background."""

    template: ClassVar[str] = "failures"
    known: bool  # whether there are labels
    n_labelled: int
    n_wrong: int
    worst: tuple[WorstClass, ...]  # lowest accuracy first
    pairs: tuple[ConfusedPair, ...]  # most frequent first
    errors: tuple[Sample, ...]  # most confident first; without maps
    addresses: tuple[str | None, ...]  # of each of them in the gallery
    background: tuple[LowScore, ...]  # lowest first; empty = no regions are known
    metric: str  # of them
