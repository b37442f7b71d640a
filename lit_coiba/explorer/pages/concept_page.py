"""The page of a concept."""

from __future__ import annotations

from lit_coiba.explorer.page_data import ConceptPage, LayerConcepts, Points
from lit_coiba.explorer.sources import Sources

EXAMPLES = 12  # images of a concept


def concept_page(sources: Sources, cls: int, layer: LayerConcepts, points: Points | None, number: int) -> ConceptPage:
    """What the page of a concept says.

    Args:
        sources: All runs.
        cls: Number of the class.
        layer: The concepts of the class.
        points: Its strategy graph.
        number: Number of the concept.
    """
    concept, place = layer.concepts[number], layer.order.index(number)
    before, after = place - 1, place + 1
    examples = []
    if points is not None:
        values = [row[number] if number < len(row) else 0.0 for row in points.contributions]
        best = sorted(range(len(values)), key=lambda k: (-values[k], k))[:EXAMPLES]
        examples = [(points.id[k], points.thumb[k], values[k]) for k in best if values[k] > 0]
    return ConceptPage(
        title=f"{concept.name}, {sources.name(cls)}",
        address=concept.address,
        cls=sources.link(cls),
        layer=layer.layer,
        concept=concept,
        examples=tuple(examples),
        total=layer.logit,
        previous=layer.concepts[layer.order[before]].address if before >= 0 else None,
        next=layer.concepts[layer.order[after]].address if after < len(layer.order) else None,
    )
