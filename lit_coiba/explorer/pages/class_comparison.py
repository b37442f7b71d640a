"""A class in two models, side by side."""

from __future__ import annotations

from collections.abc import Sequence

from lit_coiba.explorer.class_images import ClassImages
from lit_coiba.explorer.class_material import ClassMaterial, LayerMaterial
from lit_coiba.explorer.media import Media
from lit_coiba.explorer.page_data import ClassComparisonPage, ClassSide, LayerConcepts, Picture
from lit_coiba.explorer.page_data.comparisons import ConceptBrief
from lit_coiba.explorer.pages.layer_concepts import concept_color, in_order
from lit_coiba.explorer.predictions import Prediction
from lit_coiba.explorer.rounding import percentages
from lit_coiba.explorer.sources import Sources, comparison_address, shown

CROPS = 3  # of a concept
EXAMPLES = 12  # images that one of the models gets right


def model_names(sources: Sources) -> tuple[str, str]:
    """What the two models are called."""
    other = "" if sources.other is None else sources.other.model_name
    first, second = shown(sources.runs.model_name) or "first model", shown(other) or "second model"
    return (first, second) if first != second else (f"{first} (1)", f"{second} (2)")


def accuracy_of(labelled: Sequence[Prediction], cls: int) -> float | None:
    """Share of the images of a class that are given it; None where there is none."""
    known = [one for one in labelled if one.predicted is not None]
    return sum(one.predicted == cls for one in known) / len(known) if known else None


def class_comparison(
    sources: Sources, material: ClassMaterial, layers: Sequence[LayerConcepts], media: Media, images: ClassImages
) -> ClassComparisonPage:
    """What the page of a class in two models says.

    Args:
        sources: All runs.
        material: What is known of the class.
        layers: Its concepts in the first model.
        media: Where pictures go.
        images: Pictures of the samples.
    """
    cls, (first, second) = material.id, model_names(sources)
    ours = {one.id: one.correct for one in material.labelled}
    theirs = {one.id: one.correct for one in material.other_labelled}
    common = sorted(ours.keys() & theirs.keys())
    right = [name for name in common if ours[name] and theirs[name] is False]
    wrong = [name for name in common if ours[name] is False and theirs[name]]
    layer = material.other[0] if material.other else None
    return ClassComparisonPage(
        title=f"{sources.name(cls)} in two models",
        address=comparison_address(cls),
        cls=sources.link(cls),
        sides=(
            ClassSide(
                model=first,
                layer=layers[0].layer if layers else "",
                accuracy=accuracy_of(material.labelled, cls),
                n_images=len(material.given),
                n_labelled=len(material.labelled),
                logit=layers[0].logit if layers else None,
                error=layers[0].error if layers else None,
                sparsity=layers[0].sparsity if layers else None,
                stability=layers[0].stability if layers else None,
                concepts=_own_briefs(layers[0]) if layers else (),
            ),
            ClassSide(
                model=second,
                layer=shown(layer.report.layer) if layer else "",
                accuracy=accuracy_of(material.other_labelled, cls),
                n_images=len(material.other_given),
                n_labelled=len(material.other_labelled),
                logit=layer.report.logit if layer else None,
                error=layer.report.error if layer else None,
                sparsity=layer.report.sparsity if layer else None,
                stability=layer.report.stability if layer else None,
                concepts=_other_briefs(layer, media) if layer else (),
            ),
        ),
        n_common=len(common),
        only_first=tuple((shown(name, 300), images.of(name)) for name in right[:EXAMPLES]),
        only_second=tuple((shown(name, 300), images.of(name)) for name in wrong[:EXAMPLES]),
    )


def _own_briefs(layer: LayerConcepts) -> tuple[ConceptBrief, ...]:
    return tuple(
        ConceptBrief(
            id=one.id,
            name=one.name,
            color=one.color,
            address=one.address,
            percent=one.percent,
            importance=one.importance,
            important=one.important,
            visualization=one.visualization,
            crops=tuple(crop.picture for crop in one.crops[:CROPS]),
        )
        for one in (layer.concepts[number] for number in layer.order)
    )


def _other_briefs(layer: LayerMaterial, media: Media) -> tuple[ConceptBrief, ...]:
    report = layer.report
    percents = percentages([one.share for one in report.concepts])
    crops: dict[int, list[Picture]] = {}
    rows = [row for row in layer.run.crops(report.cls).to_pylist() if 0 <= row["rank"] < CROPS]
    for row in sorted(rows, key=lambda row: (row["concept"], row["rank"])):
        name = f"other-{row['concept']}-{row['rank']}"
        picture = media.picture(row["crop"], name, f"crop of concept {row['concept']} of the other model")
        if picture is not None:
            crops.setdefault(row["concept"], []).append(picture)
    return tuple(
        ConceptBrief(
            id=number,
            name=f"Concept {number}",
            color=concept_color(report, number),
            address=None,
            percent=percents[number],
            importance=report.concepts[number].importance,
            important=report.concepts[number].important,
            visualization=None,
            crops=tuple(crops.get(number, ())),
        )
        for number in in_order(report)
    )
