"""What trained readouts are worth beside per-sample CoIBA: metrics, bits and cross-entropy, with intervals.

    python -m benchmarks.readout_quality caltech --readouts runs/readouts --images 200
    python -m benchmarks.readout_quality vit     # the SyntheticParts models, 500 test images each
    python -m benchmarks.readout_quality cnn

Prints the table of docs/results/readout. `caltech` is the ViT-S of the assets (the variable LIT_COIBA_ASSETS, or
../shared/assets) on validation images of Caltech-101. The folder of readouts (runs/readouts/MODEL) has what `lit-coiba
fit` leaves: coiba.safetensors, forward.safetensors (without the gradient), iba.safetensors, ranking.safetensors, of
which those that are not there are left out. Scores of a method are kept in the folder of runs and not measured again.

``insertion - deletion`` removes 7 times as many pixels (from a blur, to zero); a margin is the share of the distance
from a random map to the preset `fast`, of that difference and of SRG. ``energy`` is the share of a map inside the parts
that make the class.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from benchmarks._models import caltech_vit, pictures
from lit_coiba.attribution import CoIBA, LearnedRanking, RandomMap, ReadoutCoIBA, ReadoutIBA
from lit_coiba.backbones import Backbone
from lit_coiba.bottlenecks import ActivationStatistics
from lit_coiba.bottlenecks.readout.trained_readout import TrainedReadout
from lit_coiba.core.method import AttributionMethod
from lit_coiba.data import SyntheticParts
from lit_coiba.data.blocks import BlockDataset
from lit_coiba.functional import bootstrap_interval
from lit_coiba.functional.intervals import bootstrap_means
from lit_coiba.metrics import SRG, Deletion, EnergyPointing, Insertion
from lit_coiba.resources import resource

BATCH, STEPS = 16, 7
MARGINS = ("insertion - deletion", "SRG")  # whose margins are told
_VERSION = 1  # of what is measured
FAST = {"copies": 4, "antithetic": True}
WARM = {"start": "gradient", "steps": 5, "copies": 2, "antithetic": True}  # as configs/method/coiba_warm.yaml
Methods = dict[str, Callable[[], AttributionMethod]]


def caltech(count: int) -> tuple[Backbone, Tensor, Tensor | None]:
    """The fine-tuned ViT-S and validation images, evenly spaced."""
    model = caltech_vit()
    return model, pictures(model, count), None


def synthetic(name: str, count: int) -> tuple[Backbone, Tensor, Tensor | None]:
    """A model of SyntheticParts, test images, and the parts that make the class."""
    model = Backbone.load(str(resource(f"checkpoints/synthetic_parts_{name}.safetensors")))
    dataset = SyntheticParts().dataset("test")
    blocks = BlockDataset(dataset, model.preprocessing, 1)
    images = torch.cat([blocks[k].images for k in range(count)])
    return model, images, torch.stack([dataset.region(k) for k in range(count)])  # type: ignore[misc]


def methods(known: ActivationStatistics, layers: list[str], folder: Path, model: Backbone) -> Methods:
    """The rows of the table."""

    def coiba(**options: object) -> CoIBA:
        method = CoIBA(layers, **options)  # type: ignore[arg-type]
        method.set_statistics(model, known, ())
        return method

    def readout(name: str, **options: object) -> ReadoutCoIBA:
        return ReadoutCoIBA(str(folder / f"{name}.safetensors"), verify=True, **options)  # type: ignore[arg-type]

    rows: Methods = {
        "random": RandomMap,
        "CoIBA, fast": lambda: coiba(**FAST),
        "Readout CoIBA": lambda: readout("coiba"),
        "Readout CoIBA, refine 4": lambda: readout("coiba", refine=4),
        "CoIBA, warm": lambda: coiba(**WARM),
        "CoIBA, warm, 4 copies": lambda: coiba(**WARM | FAST),
        "CoIBA, 8 steps of 2 copies": lambda: coiba(steps=9, copies=2, antithetic=True),
        "Readout CoIBA, no gradient": lambda: readout("forward"),
        "CoIBA, exact": coiba,
        "Readout CoIBA, refine 1": lambda: readout("coiba", refine=1),
        "Readout CoIBA, refine 2": lambda: readout("coiba", refine=2),
        "Readout IBA": lambda: ReadoutIBA(str(folder / "iba.safetensors")),
        "learned ranking": lambda: LearnedRanking(str(folder / "ranking.safetensors")),
        "CoIBA, 4 steps from open": lambda: coiba(steps=5, **FAST),
    }
    files = {"coiba": "Readout CoIBA", "forward": "no gradient", "iba": "Readout IBA", "ranking": "ranking"}
    missing = [part for file, part in files.items() if not (folder / f"{file}.safetensors").exists()]
    if "Readout CoIBA" in missing:
        raise SystemExit(f"{folder}/coiba.safetensors does not exist: train it, or name its folder with --readouts")
    return {name: made for name, made in rows.items() if not any(part in name for part in missing)}


def measured(model: Backbone, method: AttributionMethod, images: Tensor, regions: Tensor | None) -> dict[str, Tensor]:
    """Values of each image, by the columns of the table."""
    pixels = images.shape[-2] * images.shape[-1]
    curves = {"insertion": Insertion(step=-(-pixels // STEPS)), "deletion": Deletion(step=-(-pixels // STEPS))}
    found: dict[str, list[Tensor]] = {}
    with torch.autocast("cpu", torch.bfloat16):
        for start in range(0, len(images), BATCH):
            batch = model.ordered(images[start : start + BATCH])
            with torch.no_grad():
                targets = model(batch).argmax(-1)
            explained = method.explain(model, batch, targets)
            row = {name: metric.score(model, batch, targets, explained.maps) for name, metric in curves.items()}
            row["SRG"] = SRG(steps=4).score(model, batch, targets, explained.maps)
            if regions is not None:
                row["energy"] = EnergyPointing().score(explained.maps, regions[start : start + BATCH])
            row |= {name: explained.extras[name] for name in ("bits", "cross_entropy") if name in explained.extras}
            for name, values in row.items():
                found.setdefault(name, []).append(values.double().cpu())
    table = {name: torch.cat(values) for name, values in found.items()}
    table["insertion - deletion"] = table.pop("insertion") - table.pop("deletion")
    return table


def margin(values: Tensor, random: Tensor, reference: Tensor) -> str:
    """Share of the distance from `random` to `reference`, with the interval of a bootstrap over images."""
    means = bootstrap_means(torch.stack([values, random, reference], 1))
    shares = (means[:, 0] - means[:, 1]) / (means[:, 2] - means[:, 1])
    low, high = torch.quantile(shares, torch.tensor([0.025, 0.975], dtype=shares.dtype)).tolist()
    whole = (values.mean() - random.mean()) / (reference.mean() - random.mean())
    return f"{whole:.0%} [{low:.0%}, {high:.0%}]"


def main(name: str, count: int, folder: Path, runs: Path, without: list[str]) -> None:
    """Measure, keep and print."""
    model, images, regions = caltech(count) if name == "caltech" else synthetic(name, count)
    model.eval()
    readout = TrainedReadout.load(folder / "coiba.safetensors")
    rows: dict[str, dict[str, Tensor]] = {}
    runs.mkdir(parents=True, exist_ok=True)
    known = [readout.statistics.digest(), readout.about.layers]
    for title, make in methods(readout.statistics, list(readout.about.layers), folder, model).items():
        if title in without:
            continue
        method = make()
        told = json.dumps([name, count, method.identity(), known, _VERSION], sort_keys=True, default=str)
        file = runs / f"{hashlib.sha256(told.encode()).hexdigest()[:16]}.json"
        if not file.exists():
            scores = {column: values.tolist() for column, values in measured(model, method, images, regions).items()}
            file.write_text(json.dumps({"method": title, **scores}), encoding="utf-8")
        kept = json.loads(file.read_text(encoding="utf-8"))
        rows[title] = {column: torch.tensor(values) for column, values in kept.items() if column != "method"}
        print(title, {column: round(float(values.mean()), 4) for column, values in rows[title].items()}, flush=True)
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    print("|", "method |", " | ".join(columns), "| margin | margin of SRG |\n|" + "---|" * (len(columns) + 3))
    for title, row in rows.items():
        cells = []
        for column in columns:
            found = bootstrap_interval(row[column]) if column in row else None
            digits = ".0f" if column == "bits" else ".3f"
            cells.append(f"{found.mean:{digits}} [{found.low:{digits}}, {found.high:{digits}}]" if found else "")
        cells += [margin(row[key], rows["random"][key], rows["CoIBA, fast"][key]) for key in MARGINS]
        print("|", title, "|", " | ".join(cells), "|")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=["caltech", "vit", "cnn"])
    parser.add_argument("--images", type=int, default=None)
    parser.add_argument("--readouts", type=Path, default=None)
    parser.add_argument("--without", nargs="*", default=[], metavar="ROW", help="rows to leave out, by their names")
    parser.add_argument("--runs", type=Path, default=Path("runs/readout_quality"))
    given = parser.parse_args()
    folder = given.readouts or Path("runs/readouts") / given.model
    main(given.model, given.images or (200 if given.model == "caltech" else 500), folder, given.runs, given.without)
