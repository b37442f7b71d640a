"""Samples with their explanations."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from lit_coiba.explorer.page_data.page import ClassLink, Link, Page, Picture


class Map(msgspec.Struct, frozen=True, kw_only=True):
    """One method's explanation of a sample.

    Its value at a cell is ``low + (high - low) * byte / 255`` of the bytes that ``beside["values"]`` has, row by row on
    `grid`, in base64: for ``samples[i].maps[j]`` they are ``values[i][j]``.
    """

    method: int  # index into `GalleryPage.methods`
    target: ClassLink  # what is explained
    probability: float | None  # None = it is no number
    overlay: Picture  # colors, transparent where there is little; to be laid over the picture of the sample
    low: float  # values of the map
    high: float
    signed: bool
    unit: str  # "bits", or empty
    grid: tuple[int, int]  # rows and columns of the values
    scores: dict[str, float | None]  # metric -> score of this explanation; empty = not scored


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One image."""

    id: str
    anchor: str  # of its place on the page: "s12"
    picture: Picture | None  # what the model saw; None = only the maps are known
    label: ClassLink | None
    predicted: ClassLink | None
    probability: float | None  # of the prediction
    logit: float | None
    correct: bool | None
    radius: float | None  # certified, of the prediction, in L2 of pixels in [0, 1]; None = no certificate, or infinite
    promise: str  # what it promises, a sentence; empty = no certificate
    top: int | None  # its top concept among those of the predicted class
    color: str | None  # of that
    maps: tuple[Map, ...]


class GalleryPage(Page, frozen=True, kw_only=True):
    """Samples of a class: those that the model gives it, or that it was asked to explain it for."""

    template: ClassVar[str] = "gallery"
    cls: ClassLink
    methods: tuple[str, ...]
    samples: tuple[Sample, ...]
    parts: tuple[Link, ...]  # all pages of the class's samples
    part: int  # which of them this is
    total: int  # samples of the class


class GalleryClass(msgspec.Struct, frozen=True):
    """A class that has samples."""

    cls: ClassLink
    address: str  # of its first samples
    count: int
    picture: Picture | None


class GalleryIndexPage(Page, frozen=True, kw_only=True):
    """The classes that have samples; all of them are ``beside["classes"]``: name, address, count and src."""

    template: ClassVar[str] = "gallery_index"
    methods: tuple[str, ...]
    classes: tuple[GalleryClass, ...]  # the first ones
    total: int  # classes
    samples: int
