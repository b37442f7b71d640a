"""A store for each time that a probe set was explained: `lit-coiba` reads it like any other."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from lit_coiba import __version__
from lit_coiba.backbones import Backbone
from lit_coiba.callbacks.probe_explainer import Found
from lit_coiba.callbacks.probe_set import ProbeSet
from lit_coiba.core.class_identity import class_identity
from lit_coiba.core.method import AttributionMethod
from lit_coiba.core.targets import Target
from lit_coiba.data.fingerprint import Fingerprint
from lit_coiba.store import ExplanationStore, Manifest
from lit_coiba.store.folder import STATISTICS
from lit_coiba.store.manifest import FILE_NAME
from lit_coiba.store.samples import write_samples


def write_probe_store(
    folder: Path,
    network: Backbone,
    method: AttributionMethod,
    target: Target,
    precision: str,
    probe: ProbeSet,
    found: Found,
    told: dict[str, Any],
) -> ExplanationStore:
    """Write the explanations of a probe set, unless they are there; those of other weights are replaced.

    Args:
        folder: Folder of the store.
        network: The network that was explained.
        method: The method, as the user gave it.
        target: What was explained.
        precision: Lightning's name of the precision.
        probe: The images.
        found: What was found.
        told: What is recorded beside the identity, plain values.

    Raises:
        InputError: The folder is none of a store, or cannot be written.
        OSError: The statistics or the table of samples cannot be written.
    """
    manifest = Manifest(_identity(network, method, target, precision, probe, found), told)
    if (folder / FILE_NAME).exists() and (there := ExplanationStore(folder)).manifest.differences(manifest):
        there.clear()
    store = ExplanationStore.open(folder, manifest)
    if store.missing(1):
        versions = tuple(_version(probe, number) for number in range(len(probe.ids)))
        if found.statistics is not None:
            found.statistics.save(folder / STATISTICS)
        write_samples(folder, Fingerprint(probe.ids, versions, probe.labels.tolist()))
        store.write(found.record._replace(versions=tuple(versions[int(name)] for name in found.record.ids)))
    return store


def _identity(
    network: Backbone, method: AttributionMethod, target: Target, precision: str, probe: ProbeSet, found: Found
) -> dict[str, Any]:
    """What decides the explanations, in the words of `trainer.identity`."""
    arguments = {name: value for name, value in method.identity().items() if name != "statistics"}
    return {
        "model": network.digest(),
        "method": {"class": class_identity(type(method)), **arguments},
        "targets": target.identity(),
        "preprocessing": network.preprocessing.identity(),
        "data": {"class": "ExplainCallback", "images": _digest(probe.images.cpu().numpy().tobytes())},
        "ids": _digest(json.dumps(probe.ids).encode()),
        "samples": len(probe.ids),
        "block_size": len(probe.ids),
        "statistics": None if found.statistics is None else found.statistics.digest(),
        "precision": precision,
    }


def recorded(network: Backbone, class_names: list[str] | None, epoch: int, step: int) -> dict[str, Any]:
    """What a store tells of the training beside the identity."""
    return {
        "model": network.arguments.get("name") or type(network.model).__name__,
        "class_names": list(class_names or ()),
        "versions": {"lit-coiba": __version__},
        "epoch": epoch,
        "step": step,
    }


def _version(probe: ProbeSet, number: int) -> str:
    return _digest(probe.images[number].cpu().numpy().tobytes())[:32]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
