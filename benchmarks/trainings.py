"""One network on the same data, trained plain, harmonized and 1-Lipschitz: what changes in its explanations.

    python -m benchmarks.trainings --runs runs/trainings

Trains each unless its weights are there, explains the test images of SyntheticParts for their labels, scores the maps,
and compares the maps of models of two folds (MeGe, ReCo). Writes table.md, numbers.json and saliency.png to
docs/results/trainings. A stopped run continues.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from lit_coiba import Backbone, ExplanationStore
from lit_coiba.cli import main as lit_coiba
from lit_coiba.core.errors import InputError
from lit_coiba.data.synthetic.dataset import SyntheticPartsDataset
from lit_coiba.functional import bootstrap_interval, spearman
from lit_coiba.lipschitz.certificate import Certificate
from lit_coiba.pictures.painting import painted
from lit_coiba.resources import resource

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "trainings"
EXPERIMENT = "configs/experiment/lipschitz_synthetic_parts.yaml"
PLAIN = ["--model", "Classifier", "--model.lr", "0.003"]  # the same file, without what a constraint needs
TRAININGS: dict[str, list[str]] = {
    "plain": PLAIN,
    # half an epoch more, from the plain network: a step costs three times as much
    "harmonized": [*("--model", "HarmonizedClassifier", "--model.lr", "0.001"), *("--trainer.max_steps", "80")],
    "lipschitz": [],
}
METHODS = ["saliency", "integrated_gradients:steps=16", "smooth_grad:n_samples=16", "grad_cam"]
SAME = ["saliency", "integrated_gradients steps=16", "smooth_grad n_samples=16"]  # which agree where a model is smooth
DATA = ["--data", "SyntheticParts", "--data.batch_size", "20"]
FOLDS = ["--folds", "2", "--images", "1200", "--methods", "Saliency", "--trainer.max_epochs", "5"]
OF_MODEL = ("logit_marked", "logit_rest", "accuracy_marked", "accuracy_rest")  # which no map decides
SHOWN = 8


def words(name: str, folder: Path) -> list[str]:
    """The fit of one training."""
    config = folder / "config.yaml"
    config.parent.mkdir(parents=True, exist_ok=True)
    if not config.exists():
        config.write_text(without_constraint(name), encoding="utf-8")
    return ["-c", str(config), *TRAININGS[name]]


def without_constraint(name: str) -> str:
    """The experiment without its folders, and for another training without what a constraint needs."""
    import yaml

    told = yaml.safe_load(Path(EXPERIMENT).read_text(encoding="utf-8"))
    del told["trainer"]["logger"], told["trainer"]["callbacks"]
    if name != "lipschitz":
        for argument in ("loss", "temperature", "convolution", "alpha", "margin"):
            told["model"]["init_args"].pop(argument, None)
        del told["model"]["class_path"]
        told["model"] = told["model"]["init_args"]
    return yaml.safe_dump(told)


def trained(name: str, runs: Path) -> Path:
    """The weights of one training; those of the experiment itself are shipped."""
    if name == "lipschitz":
        return Path(str(resource("checkpoints/lipschitz_synthetic_parts.safetensors")))
    folder = runs / name
    weights = folder / "weights.safetensors"
    if not weights.exists():
        export = json.dumps(
            {
                "class_path": "lit_coiba.callbacks.ExportWeights",
                "init_args": {"file": str(weights), "precision": "single"},
            }
        )
        fit = ["fit", *words(name, folder), "--trainer.callbacks", f"[{export}]"]
        if name == "harmonized":
            fit += ["--model.backbone.checkpoint", str(trained("plain", runs))]
        check(lit_coiba([*fit, "--trainer.default_root_dir", str(folder), "--trainer.accelerator", "cpu"]))
    return weights


def explained(name: str, runs: Path, limit: int) -> Path:
    """The folder of stores and scores of one training."""
    weights, folder = trained(name, runs), runs / name / "compare"
    if not (folder / "scores" / "leaderboard.csv").exists():
        model = [*MODEL, "--model.weights", str(weights), "--model.targets", "label"]
        command = ["compare", "--methods", *METHODS, *model, *DATA, "--limit", str(limit), "--suite"]
        check(
            lit_coiba([*command, str(RESULTS / "suite.yaml"), "--output", str(folder), "--trainer.accelerator", "cpu"])
        )
    return folder


MODEL = ["-c", "configs/model/lipschitz_synthetic_parts.yaml", "--model.backbone.checkpoint", "null"]


def representativity(name: str, runs: Path) -> dict[str, float]:
    """MeGe and ReCo of models of two folds."""
    folder = runs / name / "folds"
    if not (folder / "representativity.json").exists():
        command = ["representativity", *words(name, runs / name), *FOLDS, "--output", str(folder)]
        check(lit_coiba([*command, "--trainer.accelerator", "cpu", "--trainer.logger", "false"]))
    return json.loads((folder / "representativity.json").read_text(encoding="utf-8"))


def check(status: int) -> None:
    """Stop where a command has failed."""
    if status not in (0, 3):
        raise SystemExit(status)


def agreement(folder: Path) -> Tensor:
    """Mean rank correlation of saliency with integrated gradients and SmoothGrad, for each image ``(N,)``."""
    stores = [ExplanationStore(folder / "stores" / name) for name in SAME]
    found = []
    for sample in stores[0].ids():
        first, *others = (store[sample].map.abs().flatten() for store in stores)
        found.append(torch.stack([spearman(first, other) for other in others]).mean())
    return torch.stack(found)


def certified(weights: Path, limit: int) -> dict[str, float | str]:
    """Accuracy, certified accuracy and the norm of the gradient of the predicted logit in pixels, of test images."""
    backbone, data = Backbone.load(weights), SyntheticPartsDataset("test")
    backbone.eval().requires_grad_(False)
    pixels = data.batch(range(limit)).float() / 255
    labels = torch.tensor(data.labels[:limit])
    logits, norms = [], []
    for part in pixels.split(50):
        x = part.clone().requires_grad_()
        out = backbone(backbone.normalize(x))
        (gradient,) = torch.autograd.grad(out.amax(1).sum(), x)
        logits.append(out.detach())
        norms.append(gradient.flatten(1).norm(dim=1))
    right, size = torch.cat(logits).argmax(1) == labels, torch.cat(norms)
    row: dict[str, float | str] = {"accuracy": right.float().mean().item()}
    quantiles = size.quantile(torch.tensor([0.05, 0.5, 0.95])).tolist()
    row["gradient norm, 5 / 50 / 95%"] = " / ".join(f"{value:.3g}" for value in quantiles)
    row["Lipschitz constant of the layers"] = Certificate.measured(
        backbone.model, backbone.preprocessing
    ).pixel_constant
    try:
        radii = Certificate.of(backbone).radius(torch.cat(logits))
    except InputError:
        return row | {"certified at 36/255": "-", "median radius": "-"}
    row["certified at 36/255"] = (right & (radii > 36 / 255)).float().mean().item()
    return row | {"median radius": radii.median().item()}


def picture(runs: Path) -> None:
    """Test images, and the saliency of each training below."""
    data = SyntheticPartsDataset("test")
    pixels = data.batch(range(SHOWN))
    rows = [torch.cat(list(pixels), 2)]
    for name in TRAININGS:
        backbone = Backbone.load(trained(name, runs)).eval().requires_grad_(False)
        x = backbone.normalize(pixels.float() / 255).requires_grad_()
        (gradient,) = torch.autograd.grad(backbone(x).gather(1, torch.tensor(data.labels[:SHOWN])[:, None]).sum(), x)
        rows.append(torch.cat([painted(map, (64, 64)) for map in gradient.abs().amax(1)], 2))
    sheet = torch.cat(rows, 1).permute(1, 2, 0).numpy()
    Image.fromarray(sheet).resize((sheet.shape[1] * 2, sheet.shape[0] * 2), Image.Resampling.NEAREST).save(
        RESULTS / "saliency.png"
    )


def main(runs: Path, limit: int, folds: bool) -> None:
    """Do what is not done, and write the table."""
    numbers: dict[str, dict[str, dict[str, object]]] = {}
    for name in TRAININGS:
        folder = explained(name, runs, limit)
        with open(folder / "scores" / "leaderboard.csv", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                cell = [float(row[key]) for key in ("mean", "low", "high")]
                numbers.setdefault(row["method"], {}).setdefault(row["metric"], {})[name] = cell
        same = numbers.setdefault("all", {})
        same.setdefault("agreement of three gradients", {})[name] = list(bootstrap_interval(agreement(folder)))
        for key, value in certified(trained(name, runs), 1000).items():
            same.setdefault(key, {})[name] = value
        if folds or (runs / name / "folds" / "representativity.json").exists():
            for key, value in flat(representativity(name, runs)).items():
                same.setdefault(key, {})[name] = value
    (RESULTS / "numbers.json").write_text(f"{json.dumps(numbers, indent=1)}\n", encoding="utf-8")
    (RESULTS / "table.md").write_text(table(numbers), encoding="utf-8")
    picture(runs)


def flat(told: dict[str, object]) -> dict[str, object]:
    """MeGe and ReCo of saliency."""
    methods = told["methods"]
    assert isinstance(methods, dict)
    (one,) = methods.values()
    found = {name: one[key] for name, key in (("MeGe of saliency", "mege"), ("ReCo of saliency", "reco"))}
    unseen = told["unseen"]
    assert isinstance(unseen, list)
    return {**found, "accuracy of fold models, unseen": sum(unseen) / len(unseen)}


def table(numbers: dict[str, dict[str, dict[str, object]]]) -> str:
    """The table as Markdown."""
    lines = ["| method | measure | " + " | ".join(TRAININGS) + " |", "|---|---|" + "---|" * len(TRAININGS)]
    rows = {"all": numbers["all"] | {key: one for key, one in numbers["saliency"].items() if key in OF_MODEL}}
    rows |= {name: {k: v for k, v in numbers[name].items() if k not in OF_MODEL} for name in [*SAME, "grad_cam"]}
    for method, measures in rows.items():
        for measure, values in measures.items():
            lines.append(f"| {method} | {measure} | " + " | ".join(cell(values.get(name)) for name in TRAININGS) + " |")
    return "\n".join(lines) + "\n"


def cell(value: object) -> str:
    """A number, or a mean with its interval."""
    if isinstance(value, list):
        return f"{value[0]:.3f} [{value[1]:.3f}, {value[2]:.3f}]"
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/trainings"))
    parser.add_argument("--limit", type=int, default=40)
    parser.add_argument("--folds", action=argparse.BooleanOptionalAction, default=True)
    given = parser.parse_args()
    main(given.runs, given.limit, given.folds)
