"""The short form of the leaderboards in docs/results, as Markdown: a few metrics of every model.

python -m benchmarks.results_page            # the tables of docs/results/README.md
python -m benchmarks.results_page --readme   # the table of README.md
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "docs" / "results"
MODELS = {
    "cnn": "SyntheticParts, CNN",
    "vit": "SyntheticParts, ViT",
    "efficientnet": "ImageNet, EfficientNet-Lite0",
    "caltech": "Caltech-101, ViT-S",
}
HEADS = {
    "cnn_br_npa": "BR-NPA on the ResNet, high resolution",
    "cnn_infodisent": "InfoDisent on the ResNet, high resolution",
    "vit_infodisent": "InfoDisent on the ViT",
    "vit_br_npa": "BR-NPA on the ViT",
}
COLUMNS = {  # of the table of README.md
    ("cnn", "srg"): "CNN: SRG",
    ("cnn", "energy_gain"): "CNN: energy gain",
    ("vit", "srg"): "ViT: SRG",
    ("vit", "energy_gain"): "ViT: energy gain",
    ("efficientnet", "srg"): "EfficientNet-Lite0: SRG",
    ("caltech", "srg"): "ViT-S: SRG",
}
ROWS = ("coiba_fast", "iba_fast", "integrated_gradients steps=16", "input_x_gradient", "composite_lrp", "attn_lrp")
ROWS += ("saliency", "grad_cam", "uni", "Edges", "Center", "Random", "Oracle")
METRICS = ("insertion - deletion", "srg", "sds", "energy_gain")
TRUTH = "energy_gain"  # on SyntheticParts the parts alone decide the class


def cells(name: str) -> dict[tuple[str, str], dict[str, str]]:
    """(method, metric) -> the row of a table."""
    file = RESULTS / name / "leaderboard.csv"
    if not file.exists():
        return {}
    with open(file, encoding="utf-8", newline="") as opened:
        return {(row["method"], row["metric"]): row for row in csv.DictReader(opened)}


def cell(row: dict[str, str] | None) -> str:
    """A mean with half of its interval, bold where no other method is better."""
    if row is None or math.isnan(float(row["mean"])):
        return "-"
    text = f"{float(row['mean']):.3f} ± {(float(row['high']) - float(row['low'])) / 2:.3f}"
    return f"**{text}**" if row["leads"] == "True" else text


def readme() -> list[str]:
    """Lines of the table of README.md: some methods on all models."""
    found = {name: cells(name) for name in MODELS}
    lines = [f"| | {' | '.join(COLUMNS.values())} |", "|---|" + "--:|" * len(COLUMNS)]
    for method in ROWS:
        shown = [cell(found[name].get((method, metric))) for name, metric in COLUMNS]
        lines.append(f"| {method.partition(' ')[0]} | {' | '.join(shown)} |")
    return lines


def short(name: str) -> list[str]:
    """Lines of the short table of one model, the methods in the order of the first metric."""
    found = cells(name)
    metrics = [metric for metric in METRICS if any(key[1] == metric for key in found)]
    methods = list(dict.fromkeys(method for method, _ in found))
    if not metrics:
        return []
    methods.sort(key=lambda method: -float(found[method, metrics[0]]["mean"]))
    count = max(int(row["samples"]) for row in found.values())
    lines = [f"**{(MODELS | HEADS)[name]}**, {count} images", "", "| method | " + " | ".join(metrics) + " |"]
    lines.append("|---|" + "--:|" * len(metrics))
    for method in methods:
        shown = [cell(found.get((method, metric))) for metric in metrics]
        lines.append(f"| {method} | " + " | ".join(shown) + " |")
    return [*lines, ""]


def predictors(name: str) -> list[str]:
    """Kendall's tau of every metric with the energy on the parts, the best predictor first."""
    file = RESULTS / name / "agreement.csv"
    if not file.exists():
        return []
    with open(file, encoding="utf-8", newline="") as opened:
        rows = {row["metric"]: row for row in csv.DictReader(opened)}
    if TRUTH not in rows:
        return []
    taus = {metric: float(rows[TRUTH][metric]) for metric in rows if metric not in (TRUTH, "energy")}
    ordered = sorted((tau, metric) for metric, tau in taus.items() if not math.isnan(tau))[::-1]
    return [f"{name}: " + ", ".join(f"{metric} {tau:.2f}" for tau, metric in ordered)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readme", action="store_true", help="the table of README.md alone")
    if parser.parse_args().readme:
        print("\n".join(readme()))
        sys.exit()
    for model in (*MODELS, *HEADS):
        print("\n".join(short(model)))
    print("Kendall's tau with the energy gain on the parts:")
    for model in (*MODELS, "one_cell"):
        print("\n".join(predictors(model)))
