"""What several kinds of page have."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from lit_coiba.concepts.class_report import Effect

__all__ = ["Certified", "ClassLink", "Effect", "Fact", "Histogram", "Link", "Page", "Picture", "Site"]


class Picture(msgspec.Struct, frozen=True):
    """A picture of the site, WebP or PNG."""

    src: str  # relative to the root of the site
    width: int  # pixels
    height: int
    alt: str = ""  # what it shows, in words


class Link(msgspec.Struct, frozen=True):
    """A page and what it is called."""

    title: str
    address: str


class ClassLink(msgspec.Struct, frozen=True):
    """A class, by its number; its address is None where the site has no page of it."""

    id: int
    name: str
    address: str | None = None


class Fact(msgspec.Struct, frozen=True):
    """One line of what is known: ``layer: blocks.11``."""

    label: str
    value: str


class Histogram(msgspec.Struct, frozen=True):
    """Counts between edges."""

    title: str
    unit: str  # of the edges; empty = none
    edges: tuple[float, ...]  # one more than counts
    counts: tuple[int, ...]


class Certified(msgspec.Struct, frozen=True, kw_only=True):
    """What is certified of decisions; radii are in L2 of pixels in [0, 1]."""

    decisions: int  # that have a radius
    median: float | None  # radius; None = infinite
    share: float  # part of them with a radius above 36/255
    accuracy: float | None  # part of the labelled images that is right with a radius above 36/255; None = no labels
    curve: tuple[tuple[float, float], ...]  # radius, and that part at it; without labels the part of all decisions


class Site(msgspec.Struct, frozen=True):
    """What all pages of a site share; it changes as seldom as can be, since every page has it."""

    title: str
    model: str  # its name; empty = unknown
    version: str  # of lit-coiba
    pages: tuple[Link, ...]  # of the navigation: those that there are
    kinds: tuple[str, ...]  # of pages: "overview", "class", "concept", "prototypes", "gallery", "failures", ...


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What every page has."""

    template: ClassVar[str]  # name of its template, without the end ``.html.j2``
    title: str
    address: str  # of the page itself
    beside: dict[str, str] = {}  # what is in a script beside the page -> its address
