"""What decides the numbers that a run puts on disk: a folder of another identity is refused."""

from __future__ import annotations

import hashlib
import json
from typing import Any, cast

from lit_coiba.concepts.concept_run import VERB
from lit_coiba.core.class_identity import class_identity, is_ours, kept_arguments
from lit_coiba.core.errors import InputError
from lit_coiba.modules.concept_search import ConceptSearch
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.part_evaluator import PartEvaluator
from lit_coiba.modules.prototype_search import PrototypeSearch
from lit_coiba.modules.scorer import Scorer
from lit_coiba.store import ExplanationStore
from lit_coiba.trainer.block_run import BlockRun


def explanations_identity(run: BlockRun[Explainer]) -> dict[str, Any]:
    """The identity of explanations, but for the digest of the statistics, which are made later."""
    method = run.model.method
    arguments = dict(method.identity())
    arguments.pop("statistics", None)  # a path; the digest says what counts
    return {
        "model": run.model.network.digest(),
        "method": {"class": class_identity(type(method)), **arguments},
        "targets": run.model.target.identity(),
        **_named_target(run),
        "preprocessing": run.preprocessing,
        **_images(run),
        "statistics": None,
        "precision": run.precision,
    }


def parts_identity(run: BlockRun[PartEvaluator]) -> dict[str, Any]:
    """The identity of the scores of an evaluation by parts, but for the digest of the statistics."""
    return {**explanations_identity(cast(Any, run)), "parts": run.model.protocol()}


def scores_identity(run: BlockRun[Scorer], source: Any, keys: dict[str, list[int]]) -> dict[str, Any]:
    """The identity of the scores of a source.

    Args:
        run: The run that scores.
        source: What decides the maps of the source, as plain values.
        keys: Sample id -> classes that it is scored for.
    """
    return {
        "model": run.model.network.digest(),
        "scores of": source,
        "metrics": {name: metric.identity() for name, metric in run.model.metrics.items()},
        "preprocessing": _plain(run.preprocessing),
        "explanations": hashlib.sha256(json.dumps(keys).encode()).hexdigest(),
        **_images(run),
        "precision": run.precision,
    }


def check_explains(run: BlockRun[Scorer], store: ExplanationStore) -> None:
    """Refuse a store of another model than that of a run.

    Raises:
        InputError: Its explanations belong to another model or another preprocessing.
    """
    made = store.manifest.identity
    for what, here in (("model", run.model.network.digest()), ("preprocessing", _plain(run.preprocessing))):
        if made.get(what) != here:
            raise InputError(
                f"stores: {store.path} explains another {what} than the one given here: benchmark each model"
                " separately, with the arguments of its explanations"
            )


def _plain(values: Any) -> Any:
    """Values as a manifest has them."""
    return json.loads(json.dumps(values))


def prototypes_identity(run: BlockRun[PrototypeSearch]) -> dict[str, Any]:
    """The identity of the prototypes of a head."""
    return {
        "model": run.model.network.digest(),
        "patches": run.model.patches,
        "score": run.model.score,
        "files": run.fingerprint().digest(),
        "split": run.datamodule.current.split,
        "preprocessing": run.preprocessing,
        **_images(run),
        "precision": run.precision,
    }


def concepts_identity(run: BlockRun[ConceptSearch]) -> dict[str, Any]:
    """The identity of the concepts of classes; the factorization is decided."""
    model = run.model
    settings = ("layer", "crop_size", "images", "measured", "n_samples", "crops", "stability", "seed")
    return {
        "verb": VERB,
        "model": model.network.digest(),
        "factorization": {"class": class_identity(type(model.factorization)), **kept_arguments(model.factorization)},
        **{name: getattr(model, name) for name in settings},
        "files": run.fingerprint().digest(),
        "split": run.datamodule.current.split,
        "preprocessing": run.preprocessing,
        **_images(run),
        "precision": run.precision,
    }


def _images(run: BlockRun[Any]) -> dict[str, Any]:
    return {
        "data": data_identity(run),
        "ids": run.ids_digest,
        "samples": len(run.images),
        "block_size": run.datamodule.block_size,
    }


def data_identity(run: BlockRun[Any]) -> dict[str, Any]:
    """What decides the images beside their ids and versions: the classes of the data, and arguments such as a seed."""
    own = run.images.identity()
    return {**own, **run.datamodule.identity(), "dataset": own.get("class")}


def _named_target(run: BlockRun[Explainer]) -> dict[str, Any]:
    """What a target that goes by the name of a class depends on: its number; of a user's own target, all names."""
    target, names = run.model.target, list(run.model.names)
    if not is_ours(type(target)):
        return {"class names": hashlib.sha256(json.dumps(names).encode()).hexdigest()}
    named = getattr(target, "cls", None)
    return {"target class": names.index(named)} if isinstance(named, str) and names.count(named) == 1 else {}
