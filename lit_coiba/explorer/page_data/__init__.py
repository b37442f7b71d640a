"""What each page of the site is made of, as plain values: templates get them, a JSON file beside each page has them.

The site::

    SITE/
      index.html, index.json            `Overview`
      search.html                       `SearchPage`; data/search.js: receive("search", COUNT), how many there are of
                                        data/search-000.js and so on: receive("search-000", [`SearchEntry`, ...])
      failures.html, failures.json      `FailuresPage`
      compare.html, compare.json        `ComparisonPage`, with a second model
      compare/00017.html, .json         `ClassComparisonPage`
      gallery.html, gallery.json        `GalleryIndexPage`: the classes that have samples
      gallery/00017-000.html, .json     `GalleryPage`: samples of a class, part by part
      classes/00017.html, .json         `ClassPage`, by the number of the class
      concepts/00017-03.html, .json     `ConceptPage`; of a second layer 00017-03-1
      prototypes.html, .json            `PrototypesPage`: the first units; prototypes/page-001.html: more of them
      prototypes/00005.html, .json      `PrototypePage`
      data/classes.js                   receive("classes", `ClassColumns`): for menus and the random class
      data/galleries.js                 receive("galleries", [[class, address, samples, src], ...])
      data/NAME.js                      receive("NAME", ...): what is too large for a page; see `beside`
      media/00017/*.webp, *.png         pictures of a class; media/other/..., media/prototypes/...: those of the rest
      assets/*                          styles and scripts

Every address and every ``src`` is relative to the root of the site; a template puts `root` before it. A script beside a
page is ``litCoiba.receive(NAME, VALUE)``, since a page that was opened from disk cannot fetch; pages name it in
`beside`, what it is -> its address. Numbers are raw, shares are parts of 1 and what is not known is None. Texts are as
they were given: a template escapes them. Colors are ``#rrggbb``.

A template gets `site` (`Site`), `page` (the struct of the page), `root` (``""`` or ``"../"``) and `data` (the JSON of
the page, escaped for a script element); for a class in a single file also `inline`, address -> its content: text of
styles, scripts and data, and pictures as ``data:`` addresses. Its name is that of the struct's field `template`.
"""

from lit_coiba.explorer.page_data.classes import ClassPage, Confusion, LayerConcepts, Points, Strength
from lit_coiba.explorer.page_data.comparisons import (
    ClassComparisonPage,
    ClassDifference,
    ClassSide,
    ComparisonPage,
    ModelSide,
)
from lit_coiba.explorer.page_data.concepts import ClosestClass, Concept, ConceptPage, Crop, SimilarConcept
from lit_coiba.explorer.page_data.failures import ConfusedPair, FailuresPage, LowScore, WorstClass
from lit_coiba.explorer.page_data.galleries import GalleryClass, GalleryIndexPage, GalleryPage, Map, Sample
from lit_coiba.explorer.page_data.overviews import ClassColumns, Leaderboard, LeaderboardCell, Metric, Overview
from lit_coiba.explorer.page_data.page import Certified, ClassLink, Effect, Fact, Histogram, Link, Page, Picture, Site
from lit_coiba.explorer.page_data.prototypes import Patch, PrototypePage, PrototypesPage, Unit
from lit_coiba.explorer.page_data.searches import SearchEntry, SearchPage

__all__ = [
    "Certified",
    "ClassColumns",
    "ClassComparisonPage",
    "ClassDifference",
    "ClassLink",
    "ClassPage",
    "ClassSide",
    "ClosestClass",
    "ComparisonPage",
    "Concept",
    "ConceptPage",
    "ConfusedPair",
    "Confusion",
    "Crop",
    "Effect",
    "Fact",
    "FailuresPage",
    "GalleryClass",
    "GalleryIndexPage",
    "GalleryPage",
    "Histogram",
    "LayerConcepts",
    "Leaderboard",
    "LeaderboardCell",
    "Link",
    "LowScore",
    "Map",
    "Metric",
    "ModelSide",
    "Overview",
    "Page",
    "Patch",
    "Picture",
    "Points",
    "PrototypePage",
    "PrototypesPage",
    "Sample",
    "SearchEntry",
    "SearchPage",
    "SimilarConcept",
    "Site",
    "Strength",
    "Unit",
    "WorstClass",
]
