"""Samples of a class with their explanations, part by part."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import msgspec

from lit_coiba.core.errors import InputError
from lit_coiba.explorer.class_images import ClassImages
from lit_coiba.explorer.class_material import ClassMaterial
from lit_coiba.explorer.media import Media, map_values
from lit_coiba.explorer.page_data import GalleryPage, Link, Map, Picture, Sample
from lit_coiba.explorer.predictions import Prediction
from lit_coiba.explorer.sources import Sources, gallery_address, known, shown
from lit_coiba.lipschitz.decisions import promise

_MAPS, _SAMPLES = 160, (8, 40)  # of a page: maps at most, and samples at least and at most


def samples_of_page(methods: int) -> int:
    """How many samples a page has, so that it stays small whatever the number of methods."""
    return max(_SAMPLES[0], min(_SAMPLES[1], _MAPS // max(1, methods)))


def sample_addresses(material: ClassMaterial, methods: int) -> dict[str, str]:
    """Id -> address of each sample of a class."""
    size = samples_of_page(methods)
    return {
        name: f"{gallery_address(material.id, number // size)}#s{number}"
        for number, name in enumerate(material.samples)
    }


def gallery_pages(
    sources: Sources,
    material: ClassMaterial,
    media: Media,
    images: ClassImages,
    tops: Mapping[str, tuple[int, str]],
) -> Iterator[tuple[GalleryPage, list[list[str]]]]:
    """The pages of a class, one after the other, each with the values of its maps.

    Args:
        sources: All runs.
        material: What is known of the class.
        media: Where pictures go.
        images: Pictures of the samples.
        tops: Id -> top concept and its color.
    """
    methods = tuple(sources.runs.stores)
    size, total = samples_of_page(len(methods)), len(material.samples)
    count = -(-total // size)
    parts = tuple(
        Link(f"{part * size + 1} to {min(total, (part + 1) * size)}", gallery_address(material.id, part))
        for part in range(count)
    )
    for part in range(count):
        samples, values = [], []
        for number in range(part * size, min(total, (part + 1) * size)):
            sample, bytes_of_maps = _sample(sources, material, number, media, images, tops)
            samples.append(sample)
            values.append(bytes_of_maps)
        page = GalleryPage(
            title=f"Samples of {sources.name(material.id)}",
            address=gallery_address(material.id, part),
            cls=sources.link(material.id),
            methods=methods,
            samples=tuple(samples),
            parts=parts,
            part=part,
            total=total,
        )
        yield page, values


def _sample(
    sources: Sources,
    material: ClassMaterial,
    number: int,
    media: Media,
    images: ClassImages,
    tops: Mapping[str, tuple[int, str]],
) -> tuple[Sample, list[str]]:
    name = material.samples[number]
    top, color = tops.get(name, (None, None))
    maps, values = [], []
    for place, (store, target) in enumerate(sources.explained.keys(name)):
        made = _map(sources, name, store, target, f"heat-{number:04d}-{place}", media)
        if made is not None:
            maps.append(made[0])
            values.append(made[1])
    one = sources.predictions.of(name) or Prediction(name, None, None, None, None)
    sample = known_sample(sources, one, f"s{number}", images.of(name))
    return msgspec.structs.replace(sample, top=top, color=color, maps=tuple(maps)), values


def known_sample(sources: Sources, one: Prediction, anchor: str = "", picture: Picture | None = None) -> Sample:
    """A sample with what the model says of it, without maps."""
    return Sample(
        id=shown(one.id, 300),
        anchor=anchor,
        picture=picture,
        label=None if one.label is None else sources.link(one.label),
        predicted=None if one.predicted is None else sources.link(one.predicted),
        probability=one.probability,
        logit=one.logit,
        correct=one.correct,
        radius=one.radius if one.radius is not None and math.isfinite(one.radius) else None,
        promise="" if one.radius is None else promise(one.radius),
        top=None,
        color=None,
        maps=(),
    )


def _map(sources: Sources, name: str, store: int, target: int, file: str, media: Media) -> tuple[Map, str] | None:
    """One explanation and the bytes of its values; None where it cannot be read, or has no cell."""
    try:
        row = sources.explained.row(store, name, target)
    except InputError:
        return None
    if not row.map.numel():
        return None
    method = list(sources.runs.stores)[store]
    values = map_values(row.map)
    overlay, scale = media.overlay(row.map, file, f"{method} of {shown(name)}")
    scores = {
        f"{metric} ({table})" if len(sources.runs.benchmarks) > 1 else metric: value
        for table, run in sources.runs.benchmarks.items()
        for metric, value in run.of(method, name, target).items()
    }
    explanation = Map(
        method=store,
        target=sources.link(target),
        probability=known(row.probability),
        overlay=overlay,
        low=values.low,
        high=values.high,
        signed=scale.signed,
        unit="bits" if "bits" in row.extras else "",
        grid=values.grid,
        scores=scores,
    )
    return explanation, values.text
