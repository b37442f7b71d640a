"""The first page."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from lit_coiba.explorer.page_data.concepts import Concept
from lit_coiba.explorer.page_data.page import Certified, ClassLink, Fact, Histogram, Page, Picture


class Metric(msgspec.Struct, frozen=True):
    """A column of the leaderboard."""

    name: str
    higher: bool | None  # whether more is better; None = neither


class LeaderboardCell(msgspec.Struct, frozen=True):
    """One method by one metric: a mean with its 95% bootstrap interval."""

    mean: float
    low: float
    high: float
    samples: int
    rank: int  # 0 = not ranked
    leads: bool


class Leaderboard(msgspec.Struct, frozen=True):
    """A benchmark's table."""

    name: str  # of its folder
    metrics: tuple[Metric, ...]
    methods: tuple[str, ...]
    cells: tuple[tuple[LeaderboardCell | None, ...], ...]  # a row for each method


class ClassColumns(msgspec.Struct, frozen=True, kw_only=True):
    """All classes that have a page, in columns: ``data/classes.js``."""

    id: tuple[int, ...]
    name: tuple[str, ...]
    n_images: tuple[int, ...]  # that the model gives the class
    n_labelled: tuple[int, ...]
    accuracy: tuple[float | None, ...]
    concepts: tuple[int, ...]
    important: tuple[int, ...]
    error: tuple[float | None, ...]
    picture: tuple[str | None, ...]  # src of a small picture of its most important concept
    bars: tuple[tuple[tuple[int, str], ...], ...]  # percent and color of its most important concepts above 0


class Overview(Page, frozen=True, kw_only=True):
    """The first page; the table of classes is ``beside["classes"]``, `ClassColumns`."""

    template: ClassVar[str] = "overview"
    facts: tuple[Fact, ...]  # of the model
    runs: tuple[Fact, ...]  # what the site was made of
    n_classes: int
    n_images: int
    n_concepts: int
    n_units: int
    n_samples: int
    n_labelled: int
    accuracy: float | None
    certified: Certified | None  # None = the runs have no certificates
    leaderboards: tuple[Leaderboard, ...]
    histograms: tuple[Histogram, ...]
    example: ClassLink | None  # a class with concepts
    example_concepts: tuple[Concept, ...]  # its most important ones
    example_pictures: tuple[Picture, ...]  # images that the model gives it
