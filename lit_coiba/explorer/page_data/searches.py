"""What can be searched for."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from lit_coiba.explorer.page_data.page import Page


class SearchEntry(msgspec.Struct, frozen=True, array_like=True):
    """One result: a list of these five, in a script of ``data/search-000.js`` and so on."""

    kind: str  # "class", "concept", "unit" or "image"
    text: str
    subtitle: str
    address: str
    thumb: str | None  # src


class SearchPage(Page, frozen=True, kw_only=True):
    """The page that searches: the scripts of entries are in order, classes first."""

    template: ClassVar[str] = "search"
    shards: tuple[str, ...]  # addresses; each is receive("search-000", [entry, ...])
    total: int
