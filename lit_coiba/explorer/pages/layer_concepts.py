"""The concepts of a class at one layer: cards, strategy graph, and how well they account for the logit."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from PIL import Image

from lit_coiba.concepts.class_report import COLORS, ClassReport, ConceptReport
from lit_coiba.explorer.class_images import ClassImages
from lit_coiba.explorer.class_material import ClassMaterial, LayerMaterial
from lit_coiba.explorer.media import LARGE, Media
from lit_coiba.explorer.page_data import ClosestClass, Concept, Crop, LayerConcepts, Picture, Points, SimilarConcept
from lit_coiba.explorer.rounding import percentages
from lit_coiba.explorer.sources import Sources, concept_address, known, shown
from lit_coiba.explorer.visualization_items import first_of

LARGE_RESIDUAL = 0.05  # of the logit
_COLOR = re.compile(r"#[0-9a-f]{6}")


def in_order(report: ClassReport) -> list[int]:
    """Numbers of the concepts in the order of cards: by their share of the logit, the largest first."""
    return sorted(range(len(report.concepts)), key=lambda k: (-_sortable(report.concepts[k].share), k))


def layer_concepts(
    sources: Sources, material: ClassMaterial, layer: LayerMaterial, media: Media, points: Points | None
) -> LayerConcepts:
    """What the page of a class says of one layer.

    Args:
        sources: All runs.
        material: What is known of the class.
        layer: What is known of its concepts.
        media: Where pictures go.
        points: The strategy graph.
    """
    report = layer.report
    crops = _crops(layer, media)
    percents = percentages([one.share for one in report.concepts])
    concepts = tuple(
        _concept(sources, material.id, layer, number, percents[number], crops.get(number, ()), media)
        for number in range(len(report.concepts))
    )
    order = in_order(report)
    parts = [one.contribution.mean for one in report.concepts]
    share = None if report.residual is None or not report.logit else abs(report.residual) / abs(report.logit)
    return LayerConcepts(
        layer=shown(report.layer),
        n_used=report.used,
        n_measured=report.measured,
        r=len(concepts),
        logit=report.logit,
        bias=report.bias,
        residual=report.residual,
        residual_share=share,
        residual_large=share is not None and share > LARGE_RESIDUAL,
        positive=sum(value for value in parts if value > 0),
        negative=sum(value for value in parts if value < 0),
        error=report.error,
        sparsity=report.sparsity,
        stability=report.stability,
        deletion=concepts[order[0]].deletion.mean if order else None,
        deletion_gain=report.top_deletion,
        exact=report.exact,
        reason=shown(report.reason, 300),
        concepts=concepts,
        order=tuple(order),
        points=points,
        n_points=0 if points is None else len(points.id),
    )


def strategy_points(layer: LayerMaterial, images: ClassImages, samples: dict[str, str]) -> Points | None:
    """The images that the model gives the class, as points; None where there are none.

    Args:
        layer: What is known of the concepts.
        images: Pictures of the samples.
        samples: Id -> address in the gallery.
    """
    table = layer.points.drop_columns(["picture"])
    if not table.num_rows:
        return None
    columns: dict[str, list[Any]] = {name: table[name].to_pylist() for name in table.column_names}
    count = len(layer.report.concepts)
    labels = [None if label is None or label < 0 else label for label in columns["label"]]
    return Points(
        id=tuple(shown(name, 300) for name in columns["id"]),
        x=tuple(known(value) or 0.0 for value in columns["x"]),
        y=tuple(known(value) or 0.0 for value in columns["y"]),
        top=tuple(top if top is not None and 0 <= top < count else 0 for top in columns["top"]),
        label=tuple(labels),
        correct=tuple(None if label is None else label == layer.report.cls for label in labels),
        probability=tuple(map(known, columns["probability"])),
        logit=tuple(map(known, columns["logit"])),
        contributions=tuple(tuple(known(value) or 0.0 for value in row or ()) for row in columns["contributions"]),
        thumb=tuple(images.of(name) for name in columns["id"]),
        sample=tuple(samples.get(name) for name in columns["id"]),
    )


def concept_color(report: ClassReport, number: int) -> str:
    """The color of a concept; what is no color in the report gives way to that of its number."""
    color = report.concepts[number].color
    return color if _COLOR.fullmatch(color) else COLORS[number % len(COLORS)]


def concept_visualization(sources: Sources, cls: int, concept: int, layer: str) -> Image.Image | None:
    """The image optimized for a concept; None where there is none."""
    found = first_of(run.of_concept(cls, concept, layer) for run in sources.runs.visualizations)
    return None if found is None else found.picture


def _concept(
    sources: Sources,
    cls: int,
    layer: LayerMaterial,
    number: int,
    percent: int | None,
    crops: tuple[Crop, ...],
    media: Media,
) -> Concept:
    one, of = layer.report.concepts[number], layer.number
    name, named = sources.concept_name(of, cls, number)
    image = concept_visualization(sources, cls, number, layer.report.layer)
    alt = f"image optimized for {name} of {sources.name(cls)}"
    return Concept(
        id=number,
        name=name,
        named=named,
        address=concept_address(cls, number, of),
        color=concept_color(layer.report, number),
        importance=one.importance,
        standard_error=one.standard_error,
        sign=one.sign,
        share=one.share,
        percent=percent,
        contribution=one.contribution,
        deletion=one.deletion,
        keep_only=one.keep_only,
        raised=one.raised,
        n_top=one.top_of,
        important=one.important,
        stability=one.stability,
        xy=one.xy if all(map(math.isfinite, one.xy)) else None,
        visualization=media.picture(image, f"optimized-{of}-{number}", alt, LARGE),
        crops=crops,
        closest_classes=tuple(_closest(sources, one)),
        similar=tuple(_similar(sources, layer, number)),
        flag=_flag(sources, cls, one),
    )


def _closest(sources: Sources, one: ConceptReport) -> Iterator[ClosestClass]:
    for other, cosine in one.closest_classes:
        link = sources.link(other)
        yield ClosestClass(link.id, link.name, cosine, link.address)


def _similar(sources: Sources, layer: LayerMaterial, number: int) -> Iterator[SimilarConcept]:
    for match in layer.matches[number]:
        name, _ = sources.concept_name(layer.number, match.cls, match.concept)
        address = concept_address(match.cls, match.concept, layer.number)
        color = COLORS[match.concept % len(COLORS)]
        yield SimilarConcept(match.cls, sources.name(match.cls), match.concept, name, match.cosine, address, color)


def _flag(sources: Sources, cls: int, one: ConceptReport) -> str:
    """Important for the class, but nearer to the weights of another one."""
    if not one.important or one.sign <= 0 or not one.closest_classes:
        return ""
    nearest, cosine = max(one.closest_classes, key=lambda pair: pair[1])
    if nearest == cls:
        return ""
    return (
        f"It raises the logit of this class, but the weights closest to it are those of {sources.name(nearest)}"
        f" (cosine {cosine:.2f})."
    )


def _crops(layer: LayerMaterial, media: Media) -> dict[int, tuple[Crop, ...]]:
    """Crops by concept, the strongest first."""
    found: dict[int, list[Crop]] = {}
    rows = sorted(layer.run.crops(layer.report.cls).to_pylist(), key=lambda row: (row["concept"], row["rank"]))
    for row in rows:
        concept, rank = row["concept"], row["rank"]
        if not 0 <= concept < len(layer.report.concepts) or rank < 0:
            continue
        name = f"{layer.number}-{concept}-{rank}"
        alt = f"crop {rank + 1} of concept {concept}, from {shown(row['id'])}"
        picture = media.picture(row["crop"], f"crop-{name}", alt)
        if picture is None:
            continue
        where: Picture | None = media.picture(row["map"], f"map-{name}", f"where the concept is in {shown(row['id'])}")
        box = (row["top"], row["left"], row["bottom"], row["right"])
        found.setdefault(concept, []).append(
            Crop(picture, shown(row["id"], 300), known(row["coefficient"]), box, where)
        )
    return {concept: tuple(crops) for concept, crops in found.items()}


def _sortable(value: float) -> float:
    return value if math.isfinite(value) else -math.inf
