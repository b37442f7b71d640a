"""Folders of results of one model, told apart by their markers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lit_coiba.benchmark.keys import names_of
from lit_coiba.concepts.concept_run import VERB as CONCEPTS
from lit_coiba.concepts.concept_run import ConceptRun
from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.explorer.benchmark_run import VERB as BENCHMARK
from lit_coiba.explorer.benchmark_run import BenchmarkRun
from lit_coiba.explorer.site_folder import VERB as EXPLORER
from lit_coiba.explorer.visualization_items import VisualizationItems
from lit_coiba.feature_visualization.visualization_run import VERB as VISUALIZE
from lit_coiba.files.given_path import given_path
from lit_coiba.files.owned import is_marked
from lit_coiba.prototypes import Prototypes
from lit_coiba.prototypes.table import SUMMARY
from lit_coiba.store import ExplanationStore, Manifest
from lit_coiba.store.manifest import FILE_NAME

_MADE_BY = "that lit-coiba concepts, explain, prototypes, benchmark or visualize wrote"


@dataclass(frozen=True)
class Identified:
    """What a run says of where it comes from."""

    path: Path
    model: str | None  # digest; None = it does not say
    preprocessing: dict[str, Any] | None
    data: dict[str, Any] | None
    class_names: list[str]  # empty = unknown
    model_name: str

    @classmethod
    def of(cls, path: Path, manifest: Manifest) -> Identified:
        """From a manifest."""
        told, name = manifest.identity, manifest.recorded.get("model")
        preprocessing, data = (
            told[key] if isinstance(told.get(key), dict) else None for key in ("preprocessing", "data")
        )
        return cls(path, told.get("model"), preprocessing, data, manifest.class_names, str(name or ""))

    @classmethod
    def of_images(cls, found: VisualizationItems) -> Identified:
        """From what optimized images are of."""
        about = found.run.about
        return cls(found.path, about.model, about.preprocessing, None, about.class_names, "")


@dataclass(frozen=True)
class Runs:
    """Results of one model."""

    concepts: tuple[ConceptRun, ...] = ()  # one for each layer, in the order given
    stores: dict[str, ExplanationStore] = field(default_factory=dict)  # by their names
    prototypes: Prototypes | None = None
    benchmarks: dict[str, BenchmarkRun] = field(default_factory=dict)
    visualizations: tuple[VisualizationItems, ...] = ()
    identities: tuple[Identified, ...] = ()

    @property
    def paths(self) -> list[Path]:
        """Folders of all runs."""
        return [one.path for one in self.identities]

    @property
    def class_names(self) -> list[str]:
        """Names of the classes; empty = unknown."""
        return next((one.class_names for one in self.identities if one.class_names), [])

    @property
    def model_name(self) -> str:
        """Name of the model; empty = unknown."""
        return next((one.model_name for one in self.identities if one.model_name), "")

    @property
    def model(self) -> str:
        """Digest of the model; empty = unknown."""
        return next((one.model for one in self.identities if one.model), "")

    @property
    def preprocessing(self) -> dict[str, Any] | None:
        """How pictures became model input; None = unknown."""
        return next((one.preprocessing for one in self.identities if one.preprocessing), None)


def open_runs(folders: Sequence[str | os.PathLike[str]], argument: str = "runs") -> Runs:
    """Open folders of results.

    Args:
        folders: The folders, of any of the kinds.
        argument: Name of the argument that gives them.

    Raises:
        InputError: One of them is missing, damaged or of no known kind, or two of them are of the same thing.
    """
    if not folders:
        raise InputError(f"{argument}: give at least one folder {_MADE_BY}")
    paths = [given_path(folder, argument) for folder in folders]
    if len({os.path.realpath(path) for path in paths}) < len(paths):
        raise InputError(f"{argument} names a folder twice: keep one")
    by_kind: dict[str, list[Path]] = {}
    for path in paths:
        by_kind.setdefault(_kind(path, argument), []).append(path)
    concepts = tuple(map(ConceptRun, by_kind.get("concepts", ())))
    stores = {name: ExplanationStore(path) for name, path in _named(by_kind.get("store", [])).items()}
    if len(of_heads := by_kind.get("prototypes", [])) > 1:
        raise InputError(
            f"{argument}: {printable(of_heads[0], 120)} and {printable(of_heads[1], 120)} are both of prototypes: give"
            " one of them"
        )
    prototypes = Prototypes(of_heads[0]) if of_heads else None
    benchmarks = {name: BenchmarkRun(path) for name, path in _named(by_kind.get("benchmark", [])).items()}
    visualizations = tuple(map(VisualizationItems, by_kind.get("visualize", ())))
    identities = [
        *(Identified.of(run.path, run.manifest) for run in concepts),
        *(Identified.of(store.path, store.manifest) for store in stores.values()),
        *([] if prototypes is None else [Identified.of(prototypes.path, prototypes.manifest)]),
        *(Identified.of(run.path, run.manifest) for run in benchmarks.values() if run.manifest is not None),
        *(Identified.of_images(run) for run in visualizations),
    ]
    return Runs(concepts, stores, prototypes, benchmarks, visualizations, tuple(identities))


def layer_of(run: ConceptRun) -> str:
    """The layer that a concept run is of; empty where no class is finished."""
    told = run.manifest.identity.get("layer")
    if isinstance(told, str):
        return told
    return run.report(run.classes[0]).layer if run.classes else ""


def _kind(path: Path, argument: str) -> str:
    """What a folder has."""
    shown = printable(path, 200)
    if not path.is_dir():
        raise InputError(f"{argument}: {shown} is not a folder: give one {_MADE_BY}")
    for verb in (BENCHMARK, VISUALIZE):
        if is_marked(path, verb):
            return verb
    if is_marked(path, EXPLORER):
        raise InputError(f"{argument}: {shown} is a site that the explorer made: give the folders that it was made of")
    if not (path / FILE_NAME).exists():
        inside = [printable(one.parent, 120) for one in sorted(path.glob(f"*/{FILE_NAME}"))]
        instead = f"folders in it, such as {inside[0]}" if inside else f"a folder {_MADE_BY}"
        raise InputError(f"{argument}: {shown} has nothing that is known: give {instead}")
    told = Manifest.load(path).identity
    if told.get("verb") == CONCEPTS:
        return "concepts"
    if (path / SUMMARY).exists() or "patches" in told:
        return "prototypes"
    if "scores of" in told:
        raise InputError(f"{argument}: {shown} has scores, not explanations: give the folder of the benchmark above it")
    if "method" not in told:
        raise InputError(f"{argument}: {shown} is a run of another kind: give a folder {_MADE_BY}")
    return "store"


def _named(paths: Sequence[Path]) -> dict[str, Path]:
    found = names_of([str(path) for path in paths]) if paths else {}
    return {printable(name, 80): Path(path) for name, path in found.items()}
