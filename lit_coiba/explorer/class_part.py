"""The part of a site that a class is: its page, those of its concepts, its samples, and its comparison."""

from __future__ import annotations

from typing import Any

import msgspec

from lit_coiba.explorer.class_images import ClassImages
from lit_coiba.explorer.class_material import ClassMaterial
from lit_coiba.explorer.media import Media
from lit_coiba.explorer.page_data import ClassPage, LayerConcepts, LowScore, Points
from lit_coiba.explorer.pages.class_comparison import accuracy_of, class_comparison
from lit_coiba.explorer.pages.class_page import class_page
from lit_coiba.explorer.pages.concept_page import concept_page
from lit_coiba.explorer.pages.gallery_page import gallery_pages, sample_addresses
from lit_coiba.explorer.pages.layer_concepts import concept_color, layer_concepts, strategy_points
from lit_coiba.explorer.rendering import Renderer, write_beside
from lit_coiba.explorer.site_folder import CLASS_KEY, PartFiles
from lit_coiba.explorer.sources import Sources, class_address, gallery_address, shown

EMBEDDED = 40_000  # bytes of points that a page has in itself; more lie beside it
LOWEST = 3  # scores of a class that are kept
BARS = 5  # concepts of a class that the first page has a bar of


class ClassSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What the pages that are about all classes say of one."""

    id: int
    n_images: int
    n_labelled: int
    accuracy: float | None
    concepts: int
    important: int
    error: float | None
    sparsity: float | None
    stability: float | None
    importances: list[float]
    named: list[tuple[str, str, str | None]]  # concepts that people named: name, address, src
    picture: str | None  # src
    bars: list[tuple[int, str]]  # percent and color of its most important concepts above 0
    address: str
    gallery: str | None
    samples: int
    low: list[LowScore]
    other_accuracy: float | None
    other_labelled: int
    other_concepts: int
    other_error: float | None
    other_sparsity: float | None
    other_stability: float | None


def make_class(sources: Sources, renderer: Renderer, material: ClassMaterial, files: PartFiles) -> ClassSummary:
    """Write all that is about a class.

    Args:
        sources: All runs.
        renderer: Writes pages.
        material: What is known of the class.
        files: Files of its part.

    Raises:
        OSError: They cannot be written.
        InputError: A run is damaged.
    """
    cls, key = material.id, CLASS_KEY.format(material.id)
    media = Media(files, key)
    images = ClassImages(media, material.numbers, _kept(material), sources.images)
    addresses = sample_addresses(material, len(sources.runs.stores))
    graphs = [strategy_points(layer, images, addresses) for layer in material.layers]
    tops = _tops(material)
    layers = [layer_concepts(sources, material, *pair) for pair in zip(material.layers, [media] * len(graphs), graphs)]
    for part, values in gallery_pages(sources, material, media, images, tops):
        name = f"gallery-{key}-{part.part:03d}"
        beside = {"values": write_beside(files, name, values)} if any(values) else {}
        renderer.write(files, msgspec.structs.replace(part, beside=beside))
    for layer, graph in zip(layers, graphs):
        for number in layer.order:
            renderer.write(files, concept_page(sources, cls, layer, graph, number))
    if sources.other is not None:
        renderer.write(files, class_comparison(sources, material, layers, media, images))
    page = class_page(sources, material, layers, media, images, tops)
    _write_page(renderer, files, page, graphs, key)
    return _summary(sources, material, page)


def _write_page(renderer: Renderer, files: PartFiles, page: ClassPage, graphs: list[Points | None], key: str) -> None:
    """Write the page; points that are many lie beside it."""
    beside, layers = {}, []
    for number, (layer, graph) in enumerate(zip(page.layers, graphs)):
        if graph is not None and len(msgspec.json.encode(graph)) > EMBEDDED:
            end = f"-{number}" if number else ""
            beside[f"points{end}"] = write_beside(files, f"{key}-points{end}", graph)
            layer = msgspec.structs.replace(layer, points=None)
        layers.append(layer)
    shown_page = msgspec.structs.replace(page, layers=tuple(layers), beside=beside)
    renderer.write(files, shown_page, msgspec.structs.replace(page, beside=beside))


def _kept(material: ClassMaterial) -> dict[str, bytes]:
    """Pictures that the concept runs have, by id."""
    found: dict[str, bytes] = {}
    for layer in reversed(material.layers):
        table = layer.points.select(["id", "picture"])
        pairs = zip(table["id"].to_pylist(), table["picture"].to_pylist())
        found |= {name: picture for name, picture in pairs if picture}
    return found


def _tops(material: ClassMaterial) -> dict[str, tuple[int, str]]:
    """Id -> the concept that speaks most for it, at the first layer, and its color."""
    if not material.layers:
        return {}
    layer = material.layers[0]
    table: Any = layer.points.select(["id", "top"])
    count = len(layer.report.concepts)
    pairs = zip(table["id"].to_pylist(), table["top"].to_pylist())
    return {
        name: (top, concept_color(layer.report, top)) for name, top in pairs if top is not None and 0 <= top < count
    }


def _summary(sources: Sources, material: ClassMaterial, page: ClassPage) -> ClassSummary:
    layer = page.layers[0] if page.layers else None
    other = material.other[0].report if material.other else None
    best = layer.concepts[layer.order[0]] if layer is not None and layer.order else None
    crop = None if best is None else best.visualization or next((c.picture for c in best.crops), None)
    named = [one for found in page.layers for one in found.concepts if one.named]
    return ClassSummary(
        id=material.id,
        n_images=page.n_images,
        n_labelled=page.n_labelled,
        accuracy=page.accuracy,
        concepts=layer.r if layer else 0,
        important=sum(one.important for one in layer.concepts) if layer else 0,
        error=layer.error if layer else None,
        sparsity=layer.sparsity if layer else None,
        stability=layer.stability if layer else None,
        importances=[one.importance for one in layer.concepts] if layer else [],
        named=[(one.name, one.address, next((c.picture.src for c in one.crops), None)) for one in named],
        picture=None if crop is None else crop.src,
        bars=_bars(layer),
        address=class_address(material.id),
        gallery=gallery_address(material.id, 0) if material.samples else None,
        samples=len(material.samples),
        low=_low_scores(sources, material),
        other_accuracy=accuracy_of(material.other_labelled, material.id),
        other_labelled=len(material.other_labelled),
        other_concepts=len(other.concepts) if other else 0,
        other_error=other.error if other else None,
        other_sparsity=other.sparsity if other else None,
        other_stability=other.stability if other else None,
    )


def _bars(layer: LayerConcepts | None) -> list[tuple[int, str]]:
    """Percent and color of the most important concepts that add to the logit."""
    ordered = [] if layer is None else [layer.concepts[number] for number in layer.order]
    return [(one.percent, one.color) for one in ordered if one.percent is not None and one.percent > 0][:BARS]


def _low_scores(sources: Sources, material: ClassMaterial) -> list[LowScore]:
    """Explanations of the class that have the least of their energy on the object."""
    found, methods = [], list(sources.runs.stores)
    addresses = sample_addresses(material, len(methods))
    for run in sources.runs.benchmarks.values():
        if not run.energy:
            continue
        for name in material.samples:
            for store, target in sources.explained.keys(name):
                score = run.of(methods[store], name, target).get(run.energy)
                if score is not None:
                    link = sources.link(target)
                    found.append(LowScore(shown(name, 300), methods[store], link, score, addresses[name]))
    return sorted(found, key=lambda one: (one.score, one.id, one.method))[:LOWEST]
