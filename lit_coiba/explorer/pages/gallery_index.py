"""The classes that have samples."""

from __future__ import annotations

from collections.abc import Sequence

from lit_coiba.core.errors import InputError
from lit_coiba.explorer.class_part import ClassSummary
from lit_coiba.explorer.page_data import GalleryClass, GalleryIndexPage, GalleryPage, Picture
from lit_coiba.explorer.site_folder import SiteFolder
from lit_coiba.explorer.sources import Sources
from lit_coiba.files.json_text import decode_json

SHOWN = 60  # classes in the page itself


def gallery_classes(sources: Sources, classes: Sequence[ClassSummary], site: SiteFolder) -> list[GalleryClass]:
    """All classes that have samples, each with the picture of its first sample."""
    return [
        GalleryClass(sources.link(one.id), one.gallery, one.samples, _first_picture(site, one.gallery))
        for one in classes
        if one.gallery is not None
    ]


def gallery_index(sources: Sources, found: Sequence[GalleryClass], beside: dict[str, str]) -> GalleryIndexPage:
    """What the page of all samples says."""
    return GalleryIndexPage(
        title="Samples",
        address="gallery.html",
        beside=beside,
        methods=tuple(sources.runs.stores),
        classes=tuple(found[:SHOWN]),
        total=len(found),
        samples=sum(one.count for one in found),
    )


def _first_picture(site: SiteFolder, address: str) -> Picture | None:
    try:
        page: GalleryPage = decode_json(site.read(address.replace(".html", ".json")), GalleryPage)
    except (OSError, ValueError) as error:
        raise InputError(f"out: the site's {address} is damaged: build it again") from error
    return page.samples[0].picture if page.samples else None
