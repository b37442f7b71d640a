"""What decides the numbers in a store, and what is only recorded beside it."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from lit_coiba import __version__
from lit_coiba.core.class_identity import class_identity
from lit_coiba.core.errors import InputError
from lit_coiba.data.module import BlockDataModule
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.scorer import Scorer
from lit_coiba.store import ExplanationStore, Manifest
from lit_coiba.store.manifest import FILE_NAME
from lit_coiba.store.store import STATISTICS

PACKAGES = ("torch", "lightning", "timm", "captum")
PRECISIONS = ("32-true", "bf16-mixed")


def identity_of(model: Explainer, datamodule: BlockDataModule, precision: str) -> dict[str, Any]:
    """The identity of a run, but for the digest of the statistics, which are made later."""
    arguments = dict(model.method.identity())
    arguments.pop("statistics", None)  # a path; the digest says what counts
    return {
        "model": model.network.digest(),
        "method": {"class": class_identity(type(model.method)), **arguments},
        "targets": str(model.targets),
        "preprocessing": preprocessing_of(datamodule),
        "ids": ids_digest(datamodule),
        "samples": len(datamodule.explained),
        "block_size": datamodule.batch_size,
        "statistics": None,
        "precision": precision,
    }


def scores_identity(
    model: Scorer,
    datamodule: BlockDataModule,
    precision: str,
    source: Any,
    store: ExplanationStore | None,
    keys: dict[str, list[int]],
) -> dict[str, Any]:
    """The identity of the scores of a source, which may be a store; `source` is what decides its maps.

    Raises:
        InputError: The store's explanations are of another model or of images prepared in another way.
    """
    digest, preprocessing = model.network.digest(), json.loads(json.dumps(preprocessing_of(datamodule)))
    if store is not None:
        made = store.manifest.identity
        for what, here in (("model", digest), ("preprocessing", preprocessing)):
            if made.get(what) != here:
                raise InputError(
                    f"stores: {store.path} explains another {what} than the one given here: benchmark each model by"
                    " itself, with the arguments that its explanations were made with"
                )
    return {
        "model": digest,
        "scores of": source,
        "metrics": {name: metric.identity() for name, metric in model.metrics.items()},
        "preprocessing": preprocessing,
        "explanations": hashlib.sha256(json.dumps(keys).encode()).hexdigest(),
        "ids": ids_digest(datamodule),
        "samples": len(datamodule.explained),
        "block_size": datamodule.batch_size,
        "precision": precision,
    }


def provenance(datamodule: BlockDataModule, accelerator: str, devices: int) -> dict[str, Any]:
    """What is recorded of a run, and may differ when it is resumed."""
    return {
        "versions": {"lit-coiba": __version__, **{name: version(name) for name in PACKAGES}},
        "accelerator": accelerator,
        "devices": devices,
        "workers": datamodule.num_workers,
        "threads": torch.get_num_threads(),
    }


def preprocessing_of(datamodule: BlockDataModule) -> dict[str, Any]:
    """How the data module prepares images, as plain values."""
    return asdict(datamodule.transform.preprocessing)


def ids_digest(datamodule: BlockDataModule) -> str:
    """SHA-256 of the ids of all samples that are explained."""
    return hashlib.sha256(json.dumps(datamodule.explained.ids).encode()).hexdigest()


def same_classes(model: Explainer, datamodule: BlockDataModule) -> bool:
    """Whether the labels of the data can be classes of the model: there are as many, or nobody knows; warns if not.

    Raises:
        InputError: They are not, and the labels are what is to be explained.
    """
    names, count = len(datamodule.explained.classes), model.network.num_classes
    if names in (0, count):
        return True
    told = f"the data have {names} classes and the model has {count}: class folders do not name the model's classes"
    remedy = "give the model's class names, in its order, as data.classes"
    if model.targets == "label":
        raise InputError(f"targets is label, but {told}; {remedy}, or explain the predicted class")
    warnings.warn(f"{told}, so pictures show numbers; {remedy}", stacklevel=2)
    return False


def check_precision(precision: str) -> None:
    """Refuse a precision that overflows without a scaler, or that changes the model's weights."""
    if precision not in PRECISIONS:
        raise InputError(
            f"precision is {precision}, but explaining runs in {' or '.join(PRECISIONS)}: set one, or auto"
        )


def check_place(path: Path, argument: str) -> None:
    """Refuse a path that nothing can be written below, before hours are spent on what would go there."""
    nearest = next(place for place in (path, *path.absolute().parents) if place.exists())
    reason = "is a file, not a folder" if not nearest.is_dir() else "is read-only"
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise InputError(f"{argument} {path} cannot be written ({nearest} {reason}): mend that, or use another one")


def check_store(folder: Path, identity: dict[str, Any]) -> bool:
    """Whether there is a store to go on with; another identity is refused before statistics are estimated in vain."""
    check_place(folder, "store")
    if not (folder / FILE_NAME).exists():
        return False
    kept = ExplanationStore(folder)
    return kept.accepts(Manifest({**identity, "statistics": kept.manifest.identity.get("statistics")}))


def has_statistics(folder: Path, identity: dict[str, Any]) -> bool:
    """Whether there is a store of this identity with statistics in it, which are then the ones to use."""
    return check_store(folder, identity) and (folder / STATISTICS).exists()
