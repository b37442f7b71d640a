"""What is recorded of a run beside its identity, and may differ when it is resumed."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from lit_coiba import __version__
from lit_coiba.backbones.random_weights import has_random_weights
from lit_coiba.pictures.names import Names
from lit_coiba.trainer.block_run import BlockRun

PACKAGES = ("torch", "lightning", "timm", "captum")

PATHS = ("root", "csv", "classes", "split")  # arguments of data that say where they are


def provenance(run: BlockRun[Any]) -> dict[str, Any]:
    """The model's name and those of its classes, versions and hardware."""
    network = run.model.network
    return {
        "model": network.arguments.get("name") or type(network.model).__name__,
        "random_weights": has_random_weights(network),
        "class_names": list(Names.of(run.images.classes, network.class_names, network.num_classes).classes),
        "versions": {"lit-coiba": __version__, **{name: version(name) for name in PACKAGES}},
        "accelerator": type(run.trainer.accelerator).__name__,
        "devices": run.trainer.num_devices,
        "workers": run.datamodule.num_workers,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "machine": platform.platform(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "folder": str(Path.cwd()),
        "weights": run.model.weights or run.model.network.arguments.get("checkpoint"),
        "data": {name: str(value) for name in PATHS if (value := getattr(run.datamodule, name, None)) is not None},
    }
