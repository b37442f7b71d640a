"""What ``lit-coiba representativity`` leaves: MeGe and ReCo of each method, and how much they stand on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import counted, markdown_cell
from lit_coiba.files.atomic import atomically
from lit_coiba.files.owned import begins, check_own_file, has_keys
from lit_coiba.functional.representativity import FoldPairs, fold_pairs, mege, reco
from lit_coiba.functional.similarity import Distance
from lit_coiba.store import ExplanationStore
from lit_coiba.store.records import PREDICTION

TABLE, NUMBERS, PAIRS = "representativity.md", "representativity.json", "pairs.parquet"
FEW = 50  # pairs of a kind, below which ReCo says little
_HEAD = "| method | MeGe | ReCo | both right | one right | undefined |"
_AT_ONCE = 256  # samples whose maps are in memory

FILES = {TABLE: begins("# MeGe and ReCo"), NUMBERS: has_keys("methods", "folds"), PAIRS: begins(b"PAR1")}


@dataclass(frozen=True)
class MethodScore:
    """One method on all models."""

    mege: float
    reco: float
    both_right: int  # pairs, |S_eq|
    one_right: int  # pairs, |S_ne|
    undefined: int  # pairs without a distance, which are left out
    mean_both_right: float  # distance
    mean_one_right: float


@dataclass(frozen=True)
class Representativity:
    """Scores of methods over models that were trained on different folds.

    Args:
        methods: Name of the method -> its scores.
        folds: Number of folds.
        samples: Number of samples that all models explain by all methods.
        missing: Number of samples that some model could not explain.
        seen: Share of the samples it was trained on that each model gets right.
        unseen: Share of the samples left out that each model gets right.
        distance: Distance of two maps.
    """

    methods: Mapping[str, MethodScore]
    folds: int
    samples: int
    missing: int
    seen: Sequence[float]
    unseen: Sequence[float]
    distance: Distance

    def markdown(self) -> str:
        """The table in Markdown, with what it says about itself."""
        rows = [_HEAD, "| --- | --: | --: | --: | --: | --: |"]
        for name, one in self.methods.items():
            reco = "-" if math.isnan(one.reco) else f"{one.reco:.3f}"
            mege = "-" if math.isnan(one.mege) else f"{one.mege:.3f}"
            counts = f"{one.both_right:,} | {one.one_right:,} | {one.undefined:,}"
            rows.append(f"| {markdown_cell(name)} | {mege} | {reco} | {counts} |")
        return "\n".join(["# MeGe and ReCo", "", *rows, "", self.note(), ""])

    def note(self) -> str:
        """What the numbers are."""
        seen, unseen = (", ".join(f"{share:.1%}" for share in shares) for shares in (self.seen, self.unseen))
        told = (
            f"{self.folds} models, each trained without one fold of {counted(self.samples, 'sample')}. Right on what"
            f" they were trained on: {seen}; on what was left out: {unseen}. MeGe: 1 = the same maps whatever a model"
            f" has seen, random maps 0.5. ReCo: 1 = the distance of two maps ({self.distance}) tells whether both"
            " are right, 0 = it does not. Pairs of models are counted, on samples that one of the two has not seen."
        )
        if any(0 < one.one_right < FEW or 0 < one.both_right < FEW for one in self.methods.values()):
            told += f" With fewer than {FEW} pairs of a kind, ReCo is noisy and too high."
        if self.missing:
            told += f" {counted(self.missing, 'sample')} could not be explained by all models, and is in no pair."
        return told

    def save(self, folder: Path, pairs: Mapping[str, tuple[FoldPairs, Answers]] | None = None) -> list[Path]:
        """Write ``representativity.md`` and ``.json``, and ``pairs.parquet`` if `pairs` are given; the files.

        Raises:
            InputError: Something else has their names.
        """
        check_tables(folder)
        with atomically(folder / TABLE) as out:
            out.write(self.markdown().encode())
        with atomically(folder / NUMBERS) as out:
            told = {**asdict(self), "methods": {name: asdict(one) for name, one in self.methods.items()}}
            out.write(f"{json.dumps(_finite(told), indent=1, ensure_ascii=False)}\n".encode())
        if pairs is None:
            return [folder / TABLE, folder / NUMBERS]
        _write_pairs(folder / PAIRS, pairs)
        return [folder / name for name in FILES]


def check_tables(folder: Path) -> None:
    """Refuse a folder in which something else has the name of a result.

    Raises:
        InputError: It has.
    """
    for name, ours in FILES.items():
        check_own_file(folder / name, "output", ours)


@dataclass(frozen=True, eq=False)
class Answers:
    """Which samples all models explain, and which of the models are right."""

    ids: Sequence[str]  # N
    correct: Tensor  # (k, N) bool
    fold: Tensor  # (N,)

    def shares(self, seen: bool) -> list[float]:
        """Share of the samples that each model gets right, of those that it was trained on, or of the others."""
        numbers = torch.arange(len(self.correct))[:, None]
        counted_in = (self.fold != numbers) if seen else (self.fold == numbers)
        return [float(right[chosen].double().mean()) for right, chosen in zip(self.correct, counted_in)]


def compare(
    stores: Sequence[ExplanationStore], fold: Mapping[str, int], distance: Distance
) -> tuple[FoldPairs, Answers]:
    """All pairs of one method's maps, and which models are right.

    Args:
        stores: Maps of the true class by each model, in the order of the folds that were left out.
        fold: Sample id -> its fold, in the order of the samples.
        distance: Distance of two maps.
    """
    keys = [dict(store.keys()) for store in stores]
    ids = [name for name in fold if all(name in found for found in keys)]
    found, right = list[FoldPairs](), list[Tensor]()
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        rows = [[store[name, found[name]] for name in some] for store, found in zip(stores, keys)]
        correct = torch.tensor([[int(row.extras[PREDICTION[0]]) == row.target for row in of] for of in rows])
        maps = torch.stack([torch.stack([row.map for row in of]) for of in rows])
        pairs = fold_pairs(maps, correct, torch.tensor([fold[name] for name in some]), distance)
        found.append(pairs._replace(sample=pairs.sample + start))
        right.append(correct)
    if not ids:
        raise InputError("no sample is explained by all models, so there is nothing to compare: see their failures")
    joined = FoldPairs(*(torch.cat(parts) for parts in zip(*found)))
    return joined, Answers(ids, torch.cat(right, 1), torch.tensor([fold[name] for name in ids]))


def score(pairs: FoldPairs) -> MethodScore:
    """MeGe and ReCo of pairs, with their numbers."""
    return MethodScore(
        float(mege(pairs.equal)),
        float(reco(pairs.equal, pairs.unequal)),
        len(pairs.equal),
        len(pairs.unequal),
        int(pairs.distance.isnan().sum()),
        float(pairs.equal.mean()),
        float(pairs.unequal.mean()),
    )


def summary(
    found: Mapping[str, tuple[FoldPairs, Answers]], folds: int, samples: int, distance: Distance
) -> Representativity:
    """What is told of the pairs of each method.

    Args:
        found: Name of the method -> what `compare` returned.
        folds: Number of folds.
        samples: Number of samples.
        distance: Distance of two maps.
    """
    answers = min((of for _, of in found.values()), key=lambda one: len(one.ids))
    scores = {name: score(pairs) for name, (pairs, _) in found.items()}
    missing = samples - len(answers.ids)
    shares = answers.shares(seen=True), answers.shares(seen=False)
    return Representativity(scores, folds, len(answers.ids), missing, *shares, distance)


def _finite(value: Any) -> Any:
    """The same with None for what is not defined, which JSON has no number for."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_pairs(file: Path, pairs: Mapping[str, tuple[FoldPairs, Answers]]) -> None:
    """A row for each pair of models on a sample."""
    columns: dict[str, list[Any]] = {name: [] for name in ("method", "id", "first", "second", "distance", "both_right")}
    for method, (found, answers) in pairs.items():
        columns["method"] += [method] * len(found.sample)
        columns["id"] += [answers.ids[number] for number in found.sample.tolist()]
        columns["first"] += found.models[:, 0].tolist()
        columns["second"] += found.models[:, 1].tolist()
        columns["distance"] += found.distance.tolist()
        columns["both_right"] += found.agree.tolist()
    with atomically(file) as out:
        pq.write_table(pa.table(columns), out)
