"""The page of a class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from lit_coiba.explorer.certified import certified
from lit_coiba.explorer.class_images import ClassImages
from lit_coiba.explorer.class_material import ClassMaterial
from lit_coiba.explorer.media import LARGE, Media
from lit_coiba.explorer.page_data import ClassPage, Confusion, LayerConcepts, Picture, Strength
from lit_coiba.explorer.pages.prototype_page import unit_picture
from lit_coiba.explorer.predictions import Prediction
from lit_coiba.explorer.sources import Sources, class_address, comparison_address, gallery_address, shown, unit_address
from lit_coiba.explorer.visualization_items import first_of

CONFUSED, EXAMPLES = 10, 4  # classes in each direction, images of one of them
UNITS = 10  # of the head


def class_page(
    sources: Sources,
    material: ClassMaterial,
    layers: Sequence[LayerConcepts],
    media: Media,
    images: ClassImages,
    tops: dict[str, tuple[int, str]],
) -> ClassPage:
    """What the page of a class says.

    Args:
        sources: All runs.
        material: What is known of the class.
        layers: Its concepts.
        media: Where pictures go.
        images: Pictures of the samples.
        tops: Id -> top concept and its color.
    """
    cls = material.id
    previous, following = sources.neighbors(cls)
    known = [one for one in material.labelled if one.predicted is not None]
    correct = sum(one.predicted == cls for one in known)
    return ClassPage(
        title=sources.name(cls),
        address=class_address(cls),
        id=cls,
        name=sources.name(cls),
        n_images=len(material.given),
        n_labelled=len(material.labelled),
        n_correct=correct,
        accuracy=correct / len(known) if known else None,
        certified=certified(material.given, material.labelled),
        visualization=_visualization(sources, cls, media),
        layers=tuple(layers),
        confusions=(*_incoming(sources, material, images, tops), *_outgoing(sources, material)),
        prototypes=tuple(_units(sources, cls, media)),
        gallery=gallery_address(cls, 0) if material.samples else None,
        n_samples=len(material.samples),
        comparison=None if sources.other is None else comparison_address(cls),
        model_hash=sources.runs.model,
        previous=previous,
        next=following,
    )


def _visualization(sources: Sources, cls: int, media: Media) -> Picture | None:
    found = first_of(run.of_class(cls) for run in sources.runs.visualizations)
    image = None if found is None else found.picture
    return media.picture(image, "optimized-0", f"image optimized for {sources.name(cls)}", LARGE)


def _incoming(
    sources: Sources, material: ClassMaterial, images: ClassImages, tops: dict[str, tuple[int, str]]
) -> Iterator[Confusion]:
    """Images of other classes that the model gives this one, with the concepts that spoke for it."""
    wrong = [one for one in material.given if one.label is not None and one.label != material.id]
    for other, found in _grouped(wrong, [one.label for one in wrong]):
        concepts = Counter(tops[one.id][0] for one in found if one.id in tops)
        yield Confusion(
            other=sources.link(other),
            incoming=True,
            count=len(found),
            top_concepts=tuple(sorted(concepts.items(), key=lambda pair: (-pair[1], pair[0]))),
            examples=tuple((shown(one.id, 300), images.of(one.id), one.probability) for one in found[:EXAMPLES]),
        )


def _outgoing(sources: Sources, material: ClassMaterial) -> Iterator[Confusion]:
    """Images of this class that the model gives another one; their pictures are on the pages of that."""
    wrong = [one for one in material.labelled if one.predicted is not None and one.predicted != material.id]
    for other, found in _grouped(wrong, [one.predicted for one in wrong]):
        yield Confusion(
            other=sources.link(other),
            incoming=False,
            count=len(found),
            top_concepts=(),
            examples=tuple((shown(one.id, 300), None, one.probability) for one in found[:EXAMPLES]),
        )


def _grouped(rows: Sequence[Prediction], classes: Sequence[int | None]) -> list[tuple[int, list[Prediction]]]:
    """Images by class, the most frequent first, and within a class the most certain first."""
    groups: dict[int, list[Prediction]] = {}
    for row, cls in zip(rows, classes):
        if cls is not None:
            groups.setdefault(cls, []).append(row)
    for found in groups.values():
        found.sort(key=lambda one: (-(one.probability or 0.0), one.id))
    return sorted(groups.items(), key=lambda pair: (-len(pair[1]), pair[0]))[:CONFUSED]


def _units(sources: Sources, cls: int, media: Media) -> Iterator[Strength]:
    """Units of the head that have the largest weights for the class."""
    units = sources.runs.prototypes
    own = None if units is None else units.summary["own"]
    if units is None or own is None or cls >= len(own):
        return
    for unit, weight in own[cls][:UNITS]:
        yield Strength(unit, weight, unit_address(unit), unit_picture(units, unit, media, f"unit-{unit}"))
