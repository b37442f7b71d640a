"""Metrics of maps and of prototypes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.golden.api import (
    ActivationSparsity,
    ChannelCorrelation,
    Consistency,
    Deletion,
    EnergyPointing,
    ExplanationSize,
    Insertion,
    PointingGame,
    RelevanceRank,
    Stability,
    StrongestPurity,
    SyntheticParts,
    Transform,
    attribution,
    class_prototypes,
)
from benchmarks.golden.models import drawn, images, model, other_targets
from benchmarks.golden.numbers import Case

COUNT = 4  # images
CURVES: dict[str, dict[str, Any]] = {
    "default": {},
    "coiba": {"preset": "coiba"},
    "cells": {"grid_size": 8, "steps": 16},
    "oblong_cells": {"grid_size": (4, 8), "step": 3},
    "logit": {"output": "logit", "steps": 8},
    "logprob": {"output": "logprob", "steps": 8},
    "lerf": {"order": "lerf", "steps": 8},
    "random": {"order": "random", "steps": 8, "seed": 1},
    "last": {"ties": "last", "grid_size": 4},
    "blur": {"baseline": "blur", "steps": 8},
    "mean": {"baseline": "mean", "steps": 8},
    "minimum": {"baseline": "minimum", "space": "pixels", "steps": 8},
    "number": {"baseline": 0.25, "space": "pixels", "steps": 8},
    "window": {"baseline": "blur", "blur": "gaussian", "blur_size": 9, "blur_sigma": 2.0, "rows": 8},
}
LOCALISATION: dict[str, tuple[Any, dict[str, dict[str, Any]]]] = {
    "EnergyPointing": (EnergyPointing, {"default": {}}),
    "PointingGame": (PointingGame, {"default": {}, "tolerance": {"tolerance": 6.0}}),
    "RelevanceRank": (RelevanceRank, {"default": {}}),
}
UNITS, PARTS, CLASSES = 6, 5, 4  # of the metrics of prototypes


def cases() -> Iterator[Case]:
    """Every metric."""
    for metric in (Insertion, Deletion):
        for variant, arguments in CURVES.items():
            for network in ("cnn", "vit"):
                yield f"metric/{metric.__name__}/{variant}/{network}", partial(_curve, metric, arguments, network)
        yield f"metric/{metric.__name__}/predicted/cnn", partial(_curve, metric, {"steps": 8}, "cnn", False)
    for name, (metric, variants) in LOCALISATION.items():
        for variant, arguments in variants.items():
            yield f"metric/{name}/{variant}", partial(_localisation, metric, arguments)
    for variant, arguments in {"default": {}, "bins": {"bins": 7, "threshold": 0.5}}.items():
        yield f"metric/ActivationSparsity/{variant}", partial(_sparsity, arguments)
    yield "metric/ChannelCorrelation/default", _correlation
    for variant, count in {"default": 5, "two": 2}.items():
        yield f"metric/StrongestPurity/{variant}", partial(_purity, count)
    for variant, threshold in {"default": 0.8, "half": 0.5}.items():
        yield f"metric/Consistency/{variant}", partial(_consistency, threshold)
    yield "metric/Stability/default", _stability
    for variant, threshold in {"default": 0.2, "half": 0.5}.items():
        yield f"metric/ExplanationSize/{variant}", partial(_size, threshold)
    yield "metric/class_prototypes/default", _class_prototypes


@cache
def _maps() -> dict[str, Tensor]:
    """Coarse ones with ties, and those of pixels, signed."""
    coarse = (2 * drawn(COUNT, 7, 9)).round() / 2
    signed = attribution.Saliency(reduce="sum").explain(model("cnn"), images(COUNT)).maps
    return {"coarse": coarse, "pixels": signed}


def _curve(metric: Any, arguments: dict[str, Any], network: str, given: bool = True) -> Any:
    found = {}
    for kind, maps in _maps().items():
        made, targets = metric(**arguments, keep_samples=True), other_targets(COUNT) if given else None
        inputs = model(network), images(COUNT), targets, maps
        made.update(*inputs)
        found[kind] = {
            "curves": made.curves(*inputs),
            "score": made.score(*inputs),
            "compute": made.compute(),
            "mean_curve": made.mean_curve(),
            "samples": made.samples(),
        }
    return found


def _localisation(metric: Any, arguments: dict[str, Any]) -> Any:
    dataset, transform = SyntheticParts().dataset("test"), Transform(model("cnn").preprocessing)
    regions = torch.stack([transform.region(dataset.region(index)) for index in range(COUNT)])
    found = {}
    for kind, maps in _maps().items():
        made = metric(**arguments, keep_samples=True)
        made.update(maps, regions)
        found[kind] = {"score": made.score(maps, regions), "compute": made.compute(), "samples": made.samples()}
    return found


def _unit_maps(seed: int = 0) -> Tensor:
    return drawn(8, UNITS, 4, 4, seed=seed)


def _sparsity(arguments: dict[str, Any]) -> Any:
    made = ActivationSparsity(**arguments)
    made.update(_unit_maps().relu())
    return {"compute": made.compute(), "histogram": made.histogram, "dead": made.dead}


def _correlation() -> Any:
    made, values = ChannelCorrelation(UNITS), _unit_maps()
    made.update(values + values.roll(1, 1))
    made.update(_unit_maps(1).amax((2, 3)))
    return {"compute": made.compute(), "result": made.result()}


def _purity(count: int) -> Any:
    made = StrongestPurity(UNITS, count)
    made.update(_unit_maps())
    made.update(_unit_maps(1))
    return {"compute": made.compute(), "channels": made.channels()}


def _prototypes() -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Prototypes of classes, part vectors twice, visible parts, labels."""
    prototypes = class_prototypes(drawn(CLASSES, UNITS), UNITS, CLASSES, top=3)
    vectors = drawn(40, 3, PARTS, seed=1) > -1.2
    noisy = vectors ^ (drawn(40, 3, PARTS, seed=2) > 1.7)
    return prototypes, vectors, noisy, drawn(40, PARTS, seed=3) > -1, torch.arange(40) % CLASSES


def _consistency(threshold: float) -> Any:
    prototypes, vectors, _, visible, labels = _prototypes()
    made = Consistency(prototypes, PARTS, threshold)
    made.update(vectors & visible[:, None], visible, labels)
    return {"compute": made.compute(), "consistent": made.consistent()}


def _stability() -> Any:
    prototypes, vectors, noisy, _, labels = _prototypes()
    made = Stability(prototypes)
    made.update(vectors, noisy, labels)
    return {"compute": made.compute()}


def _size(threshold: float) -> Any:
    found = {}
    for kind, weights in {"weights": drawn(CLASSES, UNITS), "none": None}.items():
        made = ExplanationSize(weights, UNITS, threshold)
        made.update(drawn(9, UNITS, seed=1))
        found[kind] = {"compute": made.compute(), "sizes": made.sizes()}
    return found


def _class_prototypes() -> Any:
    weights = drawn(CLASSES, UNITS)
    return {"weights": class_prototypes(weights, UNITS, CLASSES, 3), "none": class_prototypes(None, UNITS, CLASSES)}
