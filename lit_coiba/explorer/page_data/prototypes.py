"""The units of an interpretable head."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from lit_coiba.explorer.page_data.page import ClassLink, Link, Page, Picture


class Patch(msgspec.Struct, frozen=True):
    """A training patch that a unit answers to."""

    picture: Picture
    image: str  # id
    label: ClassLink | None
    score: float  # signed
    inner: tuple[int, int, int, int] | None  # the cell: top, left, bottom, right in pixels of the picture


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """A unit, in a list."""

    id: int
    address: str
    importance: float
    picture: Picture | None  # its strongest patch
    users: tuple[tuple[ClassLink, float], ...]  # classes of largest weight
    state: str  # "", "dead", "unused" or "duplicate"


class PrototypePage(Page, frozen=True, kw_only=True):
    """The page of a unit."""

    template: ClassVar[str] = "prototype"
    unit: Unit
    positive: tuple[Patch, ...]  # strongest first
    negative: tuple[Patch, ...]
    duplicates: tuple[Link, ...]  # units that share more than half of its patches
    visualization: Picture | None
    previous: str | None
    next: str | None


class PrototypesPage(Page, frozen=True, kw_only=True):
    """Units, the most important first, part by part."""

    template: ClassVar[str] = "prototypes"
    units: tuple[Unit, ...]
    total: int
    dead: int
    unused: int
    duplicate: int
    parts: tuple[Link, ...]
    part: int
