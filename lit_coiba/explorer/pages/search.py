"""What can be searched for: classes, concepts that have names, units, samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lit_coiba.explorer.class_part import ClassSummary
from lit_coiba.explorer.page_data import SearchEntry
from lit_coiba.explorer.pages.gallery_page import samples_of_page
from lit_coiba.explorer.sources import Sources, gallery_address, shown, unit_address

SHARD = 3000  # entries of a script


def search_entries(sources: Sources, classes: Sequence[ClassSummary]) -> Iterator[SearchEntry]:
    """All entries, classes first; one at a time."""
    for one in classes:
        told = f"class {one.id}, {one.n_images:,} images" + (f", {one.concepts} concepts" if one.concepts else "")
        yield SearchEntry("class", sources.name(one.id), told, one.address, one.picture)
    for one in classes:
        for name, address, src in one.named:
            yield SearchEntry("concept", name, sources.name(one.id), address, src)
    if (units := sources.runs.prototypes) is not None:
        users = units.summary["users"]
        for unit in range(units.units):
            told = ", ".join(sources.name(cls) for cls, _ in (users[unit] if users is not None else ()))
            yield SearchEntry("unit", f"Unit {unit}", told, unit_address(unit), None)
    size = samples_of_page(len(sources.runs.stores))
    for one in classes:
        for number, sample in enumerate(sources.explained.samples(one.id)):
            address = f"{gallery_address(one.id, number // size)}#s{number}"
            yield SearchEntry("image", shown(sample, 300), sources.name(one.id), address, None)
