"""The short form of the leaderboards in docs/results, as Markdown: a few metrics of every model.

python -m benchmarks.results_page
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "docs" / "results"
MODELS = {
    "cnn": "SyntheticParts, CNN",
    "vit": "SyntheticParts, ViT",
    "efficientnet": "ImageNet, EfficientNet-Lite0",
    "caltech": "Caltech-101, ViT-S",
}
METRICS = ("insertion - deletion", "srg", "sds", "energy_gain")
TRUTH = "energy_gain"  # on SyntheticParts the parts alone decide the class


def cells(name: str) -> dict[tuple[str, str], dict[str, str]]:
    """(method, metric) -> the row of a table."""
    file = RESULTS / name / "leaderboard.csv"
    if not file.exists():
        return {}
    with open(file, encoding="utf-8", newline="") as opened:
        return {(row["method"], row["metric"]): row for row in csv.DictReader(opened)}


def short(name: str) -> list[str]:
    """Lines of the short table of one model, the methods in the order of the first metric."""
    found = cells(name)
    metrics = [metric for metric in METRICS if any(key[1] == metric for key in found)]
    methods = list(dict.fromkeys(method for method, _ in found))
    if not metrics:
        return []
    methods.sort(key=lambda method: -float(found[method, metrics[0]]["mean"]))
    count = max(int(row["samples"]) for row in found.values())
    lines = [f"**{MODELS[name]}**, {count} images", "", "| method | " + " | ".join(metrics) + " |"]
    lines.append("|---|" + "--:|" * len(metrics))
    for method in methods:
        shown = []
        for metric in metrics:
            row = found.get((method, metric))
            if row is None or math.isnan(float(row["mean"])):
                shown.append("-")
                continue
            half = (float(row["high"]) - float(row["low"])) / 2
            text = f"{float(row['mean']):.3f} ± {half:.3f}"
            shown.append(f"**{text}**" if row["leads"] == "True" else text)
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
    for model in MODELS:
        print("\n".join(short(model)))
    print("Kendall's tau with the energy gain on the parts:")
    for model in (*MODELS, "one_cell"):
        print("\n".join(predictors(model)))
