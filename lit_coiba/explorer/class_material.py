"""What is known of one class, gathered without decoding a picture, and the digest of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from lit_coiba.concepts.class_report import ClassReport
from lit_coiba.concepts.concept_run import REPORT, ConceptRun
from lit_coiba.core.errors import InputError
from lit_coiba.explorer.predictions import Prediction
from lit_coiba.explorer.similar import Match
from lit_coiba.explorer.sources import Sources
from lit_coiba.explorer.visualization_items import seals
from lit_coiba.files.digests import digest_of_file
from lit_coiba.store.digest import row_digest


@dataclass(frozen=True)
class LayerMaterial:
    """The concepts of a class at one layer."""

    number: int  # of the concept run, in the order given
    run: ConceptRun
    report: ClassReport
    matches: tuple[tuple[Match, ...], ...]  # for each concept

    @cached_property
    def points(self) -> pa.Table:
        """The measured images, read once."""
        return self.run.points(self.report.cls)


@dataclass(frozen=True)
class ClassMaterial:
    """What the pages of a class are made of."""

    id: int
    given: list[Prediction]  # images that the model gives the class
    labelled: list[Prediction]  # images of the class
    layers: tuple[LayerMaterial, ...]
    samples: list[str]  # ids of the samples on its pages
    other: tuple[LayerMaterial, ...]  # of the second model
    other_labelled: list[Prediction]
    other_given: list[Prediction]

    @property
    def numbers(self) -> dict[str, int]:
        """Id of a sample -> its place among those of the class."""
        return {name: number for number, name in enumerate(self.samples)}


def class_material(sources: Sources, cls: int) -> ClassMaterial:
    """Gather what is known of a class.

    Raises:
        InputError: A run is damaged.
    """
    known, others = sources.predictions, sources.other_predictions
    layers = tuple(_layers(sources.runs.concepts, cls, sources))
    measured = {name for layer in layers for name in layer.points["id"].to_pylist()}
    return ClassMaterial(
        id=cls,
        given=known.given(cls),
        labelled=known.labelled(cls),
        layers=layers,
        samples=sources.explained.samples(cls, measured),
        other=tuple(_layers(() if sources.other is None else sources.other.concepts, cls, None)),
        other_labelled=[] if others is None else others.labelled(cls),
        other_given=[] if others is None else others.given(cls),
    )


def class_digest(sources: Sources, material: ClassMaterial) -> str:
    """What changes when a page of the class does."""
    return sources.digest(_parts(sources, material))


def _layers(runs: tuple[ConceptRun, ...], cls: int, sources: Sources | None) -> Iterator[LayerMaterial]:
    for number, run in enumerate(runs):
        if cls in run.classes:
            report = run.report(cls)
            count = len(report.concepts)
            similar = None if sources is None else sources.similar[number]
            matches = tuple(tuple(() if similar is None else similar.of(cls, k)) for k in range(count))
            yield LayerMaterial(number, run, report, matches)


def _parts(sources: Sources, material: ClassMaterial) -> Iterator[Any]:
    cls = material.id
    yield [cls, sources.name(cls), sources.neighbors(cls), sources.runs.model]
    yield [material.given, material.labelled, material.other_given, material.other_labelled]
    for layer in (*material.layers, *material.other):
        yield digest_of_file(layer.run.folder(cls) / REPORT)  # which has the seals of the other files
        yield [layer.number, layer.matches]
    yield [sorted(names.get(cls, {}).items()) for names in sources.names]
    yield [sources.link(other) for other in sorted(_referred(material))]
    yield [
        [sources.concept_name(layer.number, m.cls, m.concept) for m in found]
        for layer in material.layers
        for found in layer.matches
    ]
    yield from _visualizations(sources, material)
    if (units := sources.runs.prototypes) is not None:
        yield [units.digest(), _own_units(sources, cls)]
    yield from _explanations(sources, material)


def _referred(material: ClassMaterial) -> set[int]:
    """Other classes that the pages of a class name."""
    found = {one.label for one in material.given} | {one.predicted for one in material.labelled}
    for layer in material.layers:
        found |= {match.cls for matches in layer.matches for match in matches}
        found |= {cls for concept in layer.report.concepts for cls, _ in concept.closest_classes}
    return {cls for cls in found if cls is not None}


def _own_units(sources: Sources, cls: int) -> Any:
    own = None if sources.runs.prototypes is None else sources.runs.prototypes.summary["own"]
    return own[cls] if own is not None and cls < len(own) else None


def _visualizations(sources: Sources, material: ClassMaterial) -> Iterator[Any]:
    for run in sources.runs.visualizations:
        yield seals([run.of_class(material.id)])
        for layer in material.layers:
            concepts = range(len(layer.report.concepts))
            yield seals(run.of_concept(material.id, k, layer.report.layer) for k in concepts)


def _explanations(sources: Sources, material: ClassMaterial) -> Iterator[Any]:
    for name in material.samples:
        yield [name, sources.images.version(name)]
        for store, target in sources.explained.keys(name):
            try:
                yield row_digest(sources.explained.row(store, name, target))
            except InputError:
                yield "damaged"
            yield [run.of(method, name, target) for run in sources.runs.benchmarks.values() for method in run.scores]
