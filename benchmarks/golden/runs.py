"""Runs through the Trainer, from generated images to what lies on disk."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from benchmarks.golden.api import (
    Backbone,
    BlockDataModule,
    Classifier,
    Deletion,
    EnergyPointing,
    EPICHead,
    Explainer,
    ExplanationStore,
    FeatureFile,
    HeadAttribution,
    InfoDisentHead,
    Insertion,
    PointingGame,
    PrototypeSearch,
    PurityTraining,
    RelevanceRank,
    Scorer,
    Subset,
    SyntheticParts,
    Teacher,
    Trainer,
    attribution,
    merge,
)
from benchmarks.golden.models import COMMON, build, drawn, images, model, randomised
from benchmarks.golden.numbers import Case

LIMIT = 16
COIBA = {"steps": 4, "copies": 2}
TINY = {"channels": [8, 8, 8, 8], "stem_width": 8}
CALM: dict[str, Any] = {
    **{"accelerator": "cpu", "devices": 1, "logger": False, "enable_checkpointing": False},
    **{"enable_model_summary": False, "enable_progress_bar": False},
}
TEACHER, CACHE = {"teacher": True}, {"cache": True}
FITS: dict[str, dict[str, bool]] = {"plain": {}, "cache": CACHE, "frozen": {"frozen": True}, "teacher": TEACHER}


class FewParts(BlockDataModule):
    """The first SyntheticParts of each split, without augmentation."""

    def dataset(self, split: Literal["train", "val", "test", "predict"]) -> Subset:
        """So many that three batches are an epoch."""
        return Subset(SyntheticParts().dataset(split), range(3 * self.batch_size))


def cases() -> Iterator[Case]:
    """All verbs."""
    for network in ("cnn", "vit"):
        yield f"run/explain/{network}/coiba", partial(_explained, network, "CoIBA", COIBA, "predicted")
    yield "run/explain/cnn/saliency", partial(_explained, "cnn", "Saliency", {}, "label")
    yield "run/explain/vit/top3", partial(_explained, "vit", "Saliency", {}, "top3")
    yield "run/explain/infodisent/head", _decided
    yield "run/statistics", _statistics
    yield "run/benchmark", _benchmark
    for name in ("infodisent", "br_npa"):
        yield f"run/prototypes/{name}", partial(_prototypes, name)
    yield "run/merge", _merged
    yield "run/export", _exported
    for name, arguments in FITS.items():
        yield f"run/fit/{name}", partial(_fitted, **arguments)
    yield "run/fit/whole", _fitted_whole
    yield "run/fit/purity", _fitted_purity


def _explain(folder: Path, network: str, method: Any, targets: str = "predicted", **arguments: Any) -> ExplanationStore:
    explainer = Explainer(model(network), method, targets)
    given = {"limit": LIMIT, **arguments}
    return Trainer(**CALM).explain(explainer, SyntheticParts(batch_size=4), str(folder), **given)


def _told(store: ExplanationStore) -> Any:
    """All that a store says."""
    rows = sorted(store, key=lambda row: (row.id, row.target))
    return {
        "digest": store.digest(),
        "identity": store.manifest.digest,
        "ids": " ".join(row.id for row in rows),
        "maps": torch.stack([row.map for row in rows]),
        "targets": [row.target for row in rows],
        "labels": [row.label for row in rows],
        "probabilities": [row.probability for row in rows],
        "extras": {name: torch.stack([row.extras[name] for row in rows]) for name in rows[0].extras},
    }


def _explained(network: str, name: str, arguments: dict[str, Any], targets: str) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        method = getattr(attribution, name)(**arguments)
        return _told(_explain(Path(folder) / "store", network, method, targets))


def _decided() -> Any:
    """A head's own maps, with prototypes beside them."""
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "prototypes"
        _search(found, "infodisent", 32)
        method = HeadAttribution(prototypes=str(found), top=4)
        return _told(_explain(Path(folder) / "store", "infodisent", method))


def _statistics() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        explainer = Explainer(model("vit"), attribution.CoIBA())
        file = Path(folder) / "statistics.safetensors"
        found = Trainer(**CALM).statistics(explainer, SyntheticParts(batch_size=4), str(file), images=LIMIT)
        leak = found.leak and {"kept": found.leak.kept, "layers": " ".join(found.leak.layers)}
        numbers = {kind: getattr(found, kind) for kind in ("mean", "std", "active")}
        return {**numbers, "digest": found.digest(), "leak": leak}


def _benchmark() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        place, methods = Path(folder), {"coiba": attribution.CoIBA(**COIBA), "cam": attribution.GradCAM()}
        for name, method in methods.items():
            _explain(place / name, "cnn", method)
        metrics = {
            **{"insertion": Insertion(grid_size=8, steps=8), "deletion": Deletion(grid_size=8, steps=8)},
            **{"pointing": PointingGame(), "energy": EnergyPointing(), "relevance_rank": RelevanceRank()},
        }
        stores = [str(place / name) for name in methods]
        board = Trainer(**CALM).benchmark(
            Scorer(model("cnn"), metrics), SyntheticParts(batch_size=4), stores, str(place / "table"), limit=LIMIT
        )
        cells = {f"{method}/{metric}": list(cell) for (method, metric), cell in board.cells().items()}
        return {"scores": board.scores, "table": cells}


def _search(folder: Path, name: str, limit: int, **arguments: Any) -> Any:
    search = PrototypeSearch(model(name), patches=4)
    data = SyntheticParts(batch_size=8, limit=LIMIT)
    return Trainer(**CALM).prototypes(search, data, str(folder), limit=limit, pages=0, **arguments)


def _prototypes(name: str) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        found = _search(Path(folder) / "prototypes", name, 64, evaluate=True)
        table = {name: _column(column.tolist()) for name, column in found.to_pandas().items()}
        names = {"silent": "dead", "unused": "unused", "twins": "duplicate", "importance": "importance"}
        summary = {name: np.array(found.summary[key]) for name, key in names.items()}
        told = json.loads((found.path / "evaluation.json").read_bytes())
        each = (told["part_purity"] or {}).pop("each", [])
        evaluation = {**told, "each": {key: _column([row[key] for row in each]) for key in (each[0] if each else ())}}
        return {"digest": found.digest(), "table": table, "summary": summary, "evaluation": evaluation}


def _column(values: list[Any]) -> Any:
    """Texts as one, numbers as an array."""
    return " ".join(values) if values and isinstance(values[0], str) else np.array(values)


def _merged() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        shards = [Path(folder) / f"shard{number}" for number in range(2)]
        for number, shard in enumerate(shards):
            _explain(shard, "cnn", attribution.Saliency(), shard=(number, 2))
        return _told(merge(Path(folder) / "merged", shards))


def _exported() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        store = _explain(Path(folder) / "store", "cnn", attribution.GradCAM(), "label", limit=4)
        output = store.export("npz")
        found: dict[str, Any] = {}
        for file in sorted(output.rglob("*.npz")):
            with np.load(file) as arrays:
                found[file.name] = {key: str(values) if key == "id" else values for key, values in arrays.items()}
        return found


def _tiny() -> Backbone:
    return randomised(Backbone("resnet10t", timm_kwargs=TINY, **COMMON))


def _fitted(cache: bool = False, frozen: bool = False, teacher: bool = False) -> Any:
    """Three steps; the backbone is frozen where its features are kept."""
    taught_by = Teacher(build("cnn")) if teacher else None
    classifier = Classifier(_tiny(), InfoDisentHead, frozen=cache or frozen, lr=0.01, teacher=taught_by)
    trainer = Trainer(max_epochs=1, **CALM)
    with tempfile.TemporaryDirectory() as folder:
        kept = str(Path(folder) / "features") if cache else None
        trainer.fit(classifier, datamodule=FewParts(batch_size=4, num_workers=0), cache=kept)
    return _after(classifier, trainer)


def _fitted_whole() -> Any:
    """No head, soft targets, mixed images, falling rates."""
    mixed = {"mixup": 0.2, "cutmix": 1.0, "label_smoothing": 0.1, "layer_decay": 0.7, "backbone_lr": 0.005}
    classifier = Classifier(_tiny(), lr=0.01, **mixed)
    trainer = Trainer(max_epochs=1, limit_train_batches=3, limit_val_batches=1, **CALM)
    trainer.fit(classifier, datamodule=SyntheticParts(batch_size=4, num_workers=0, multi_target=False))
    return _after(classifier, trainer)


def _fitted_purity() -> Any:
    """EPIC's rotation, on two falling counts."""
    head = randomised(EPICHead(6, 4))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "features.npy"
        np.save(file, drawn(1, 20, 6, 4, 4).abs().half().numpy())
        training = PurityTraining(head, FeatureFile(file, torch.zeros(1, 20, dtype=torch.int64)), [10, 5], epochs=1)
        before = training.purity(5)
        Trainer(**training.trainer_arguments(), **CALM).fit(training)
        after = training.purity(5)
    return {"before": before, "after": after, "matrix": head.rotate.matrix(), "weights": head.state_dict()}


def _after(classifier: Classifier, trainer: Trainer) -> Any:
    network = classifier.network.eval()
    with torch.no_grad():
        logits = network(images(4))
    logged = dict(trainer.callback_metrics)
    weights = torch.cat([value.double().flatten() for value in network.state_dict().values()])
    return {"logits": logits, "steps": trainer.global_step, "logged": logged, "weights": weights}
