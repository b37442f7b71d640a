"""Units of an interpretable head: lists of them, and a page for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from PIL import Image
from torch import Tensor

from lit_coiba.explorer.media import LARGE, Media
from lit_coiba.explorer.page_data import Link, Patch, Picture, PrototypePage, PrototypesPage, Unit
from lit_coiba.explorer.sources import Sources, shown, unit_address
from lit_coiba.explorer.visualization_items import first_of
from lit_coiba.prototypes import Prototypes

UNITS = 60  # of a list
PATCHES = 10  # of a side of a unit


def crop_picture(crop: Tensor) -> Image.Image:
    """A crop ``(3, h, w)`` uint8 as a picture."""
    return Image.fromarray(crop.permute(1, 2, 0).contiguous().numpy())


def unit_picture(units: Prototypes, unit: int, media: Media, name: str) -> Picture | None:
    """The strongest patch of a unit, of its positive side if it has one."""
    for side in (1, -1):
        for patch in units.of(unit, side, 1):
            if patch.crop is not None:
                return media.picture(crop_picture(patch.crop), name, f"strongest patch of unit {unit}")
    return None


def unit_of(sources: Sources, units: Prototypes, unit: int, picture: Picture | None) -> Unit:
    """A unit, as a list shows it."""
    users = units.summary["users"]
    duplicate = {one for pair in units.duplicate for one in pair}
    state = "dead" if unit in units.dead else "unused" if unit in units.unused else ""
    return Unit(
        id=unit,
        address=unit_address(unit),
        importance=units.summary["importance"][unit],
        picture=picture,
        users=tuple((sources.link(cls), weight) for cls, weight in (users[unit] if users is not None else ())),
        state=state or ("duplicate" if unit in duplicate else ""),
    )


def prototype_page(
    sources: Sources, units: Prototypes, unit: int, neighbors: tuple[int | None, int | None], media: Media
) -> PrototypePage:
    """What the page of a unit says.

    Args:
        sources: All runs.
        units: The units.
        unit: Number of the unit.
        neighbors: Units before and after it.
        media: Where pictures go.
    """
    positive = tuple(_patches(sources, units, unit, 1, media))
    negative = tuple(_patches(sources, units, unit, -1, media))
    strongest = next((patch.picture for patch in (*positive, *negative)), None)
    twins = sorted({other for pair in units.duplicate if unit in pair for other in pair} - {unit})
    previous, following = (None if one is None else unit_address(one) for one in neighbors)
    found = first_of(run.of_unit(unit) for run in sources.runs.visualizations)
    image = None if found is None else found.picture
    return PrototypePage(
        title=f"Unit {unit}",
        address=unit_address(unit),
        unit=unit_of(sources, units, unit, strongest),
        positive=positive,
        negative=negative,
        duplicates=tuple(Link(f"Unit {other}", unit_address(other)) for other in twins),
        visualization=media.picture(image, "optimized-0", f"image optimized for unit {unit}", LARGE),
        previous=previous,
        next=following,
    )


def prototypes_pages(sources: Sources, units: Prototypes, listed: Sequence[Unit]) -> Iterator[PrototypesPage]:
    """The lists of units, the most important first."""
    count = max(1, -(-len(listed) // UNITS))
    parts = tuple(
        Link(f"{part * UNITS + 1} to {min(len(listed), (part + 1) * UNITS)}", _address(part)) for part in range(count)
    )
    for part in range(count):
        yield PrototypesPage(
            title="Prototypes",
            address=_address(part),
            units=tuple(listed[part * UNITS : (part + 1) * UNITS]),
            total=len(listed),
            dead=len(units.dead),
            unused=len(units.unused),
            duplicate=len({one for pair in units.duplicate for one in pair}),
            parts=parts,
            part=part,
        )


def _address(part: int) -> str:
    return f"prototypes/page-{part:03d}.html" if part else "prototypes.html"


def _patches(sources: Sources, units: Prototypes, unit: int, side: int, media: Media) -> Iterator[Patch]:
    """Patches of one side that are kept as pictures."""
    name = "patch" if side > 0 else "against"
    for patch in units.of(unit, side, PATCHES):
        if patch.crop is None:
            continue
        height, width = int(patch.crop.shape[1]), int(patch.crop.shape[2])
        alt = f"patch {patch.rank + 1} of unit {unit}, from {shown(patch.id)}"
        picture = media.picture(crop_picture(patch.crop), f"{name}-{patch.rank}", alt)
        if picture is None:
            continue
        inner = None
        if patch.inner is not None:  # in pixels of the crop, which may have been made smaller
            tall, wide = picture.height / height, picture.width / width
            top, left, bottom, right = patch.inner
            inner = (round(top * tall), round(left * wide), round(bottom * tall), round(right * wide))
        label = sources.link(patch.label) if patch.label >= 0 else None
        yield Patch(picture, shown(patch.id, 300), label, patch.score, inner)
