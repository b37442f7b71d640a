"""The part of a site that belongs to no class: first page, samples, failures, comparison, lists of units, search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec

from lit_coiba.core.errors import InputError
from lit_coiba.explorer.class_part import ClassSummary
from lit_coiba.explorer.page_data import ClassPage, Link, SearchEntry, SearchPage, Site, Unit
from lit_coiba.explorer.pages.comparison import class_differences, comparison
from lit_coiba.explorer.pages.failures import failures
from lit_coiba.explorer.pages.gallery_index import gallery_classes, gallery_index
from lit_coiba.explorer.pages.overview import class_columns, overview
from lit_coiba.explorer.pages.prototype_page import prototypes_pages
from lit_coiba.explorer.pages.search import SHARD, search_entries
from lit_coiba.explorer.rendering import Renderer, write_beside
from lit_coiba.explorer.runs import Runs
from lit_coiba.explorer.site_folder import PartFiles, SiteFolder
from lit_coiba.explorer.sources import Sources, class_address
from lit_coiba.files.json_text import decode_json


def navigation(runs: Runs, other: Runs | None) -> tuple[Link, ...]:
    """The pages that a site of these runs has, as its navigation lists them."""
    explained = bool(runs.concepts or runs.stores)
    links = [
        (True, Link("Overview", "index.html")),
        (explained, Link("Samples", "gallery.html")),
        (runs.prototypes is not None, Link("Prototypes", "prototypes.html")),
        (explained, Link("Failures", "failures.html")),
        (other is not None, Link("Comparison", "compare.html")),
        (True, Link("Search", "search.html")),
    ]
    return tuple(link for there, link in links if there)


def make_site(
    sources: Sources,
    renderer: Renderer,
    classes: Sequence[ClassSummary],
    units: Sequence[Unit],
    site: SiteFolder,
    files: PartFiles,
) -> Site:
    """Write the pages that belong to no class.

    Args:
        sources: All runs.
        renderer: Writes pages.
        classes: Summaries of all classes.
        units: Units of the head, the most important first.
        site: The site, whose classes are there.
        files: Files of this part.

    Returns:
        What all pages share.
    """
    listed = {link.address for link in sources.site.pages}
    beside = {"classes": write_beside(files, "classes", class_columns(sources, classes))}
    renderer.write(files, overview(sources, classes, _example(classes, site), beside))
    if "gallery.html" in listed:
        found = gallery_classes(sources, classes, site)
        columns = [(one.cls.name, one.address, one.count, one.picture and one.picture.src) for one in found]
        address = write_beside(files, "galleries", columns)
        renderer.write(files, gallery_index(sources, found, {"classes": address}))
    if "failures.html" in listed:
        renderer.write(files, failures(sources, classes, site))
    if "compare.html" in listed:
        differences = class_differences(sources, classes)
        address = write_beside(files, "comparison", differences)
        renderer.write(files, comparison(sources, classes, differences, {"classes": address}))
    if sources.runs.prototypes is not None:
        for page in prototypes_pages(sources, sources.runs.prototypes, units):
            renderer.write(files, page)
    _write_search(sources, renderer, classes, files)
    return sources.site


def _write_search(sources: Sources, renderer: Renderer, classes: Sequence[ClassSummary], files: PartFiles) -> None:
    shards, total = [], 0
    for number, entries in enumerate(_sharded(search_entries(sources, classes))):
        shards.append(write_beside(files, f"search-{number:03d}", entries))
        total += len(entries)
    write_beside(files, "search", len(shards))
    page = SearchPage(title="Search", address="search.html", shards=tuple(shards), total=total)
    renderer.write(files, page)


def _sharded(entries: Iterator[SearchEntry]) -> Iterator[list[SearchEntry]]:
    while shard := list(islice(entries, SHARD)):
        yield shard


def _example(classes: Sequence[ClassSummary], site: SiteFolder) -> ClassPage | None:
    """The page of the class with the most concepts that matter; None where no class has concepts."""
    known = [one for one in classes if one.concepts]
    if not known:
        return None
    best = max(known, key=lambda one: (one.important, one.n_images, -one.id))
    address = class_address(best.id).replace(".html", ".json")
    try:
        page: ClassPage = decode_json(site.read(address), ClassPage)
    except (OSError, ValueError) as error:
        raise InputError(f"out: the site's {address} is damaged: build it again") from error
    return msgspec.structs.replace(page, layers=page.layers[:1])
