"""What CoIBA needs: beta, layers, copies and smoothing, on images that are in no table.

    python -m benchmarks.coiba_settings cnn vit efficientnet caltech --runs runs/settings
    python -m benchmarks.coiba_settings --summary --runs runs/settings

Every setting is scored by SRG, SDS and, where regions are known, the energy gain; the summary counts on how many models
it is significantly better than the paper's setting, and writes docs/results/coiba_settings.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pyarrow.parquet as pq
import torch

from benchmarks.boxes import prepare, words
from benchmarks.leaderboards import RESULTS, RUNS
from lit_coiba.cli import main
from lit_coiba.functional import paired_intervals


def blocks(first: int, end: int) -> str:
    """Norms of some blocks of a vision transformer, as a word of ``--methods`` has them."""
    return f"[{','.join(f'blocks.{number}.norm1' for number in range(first, end))}]"


def stages(*numbers: int) -> str:
    """Three blocks of each of some stages of EfficientNet-Lite0."""
    return f"[{','.join(f'blocks.{number}.{block}' for number in numbers for block in range(3))}]"


PAPER = "coiba"
SETTINGS = [
    PAPER,
    *("coiba_fast", "coiba_fast:beta=0.3", "coiba_fast:beta=3", "coiba_fast:beta=10"),
    *("coiba_fast:steps=20", "coiba_fast:steps=40", "coiba_fast:beta=3,steps=20", "coiba_fast:information=mean"),
    *("coiba_fast:layers=EARLIER", "coiba_fast:layers=LATER", "coiba_fast:layers=EARLIER,steps=20"),
]
LAYERS = {  # in the place of the default layers: more of them below, or the last ones alone
    "cnn": {"EARLIER": "[maxpool,layer1.0,layer1.1]", "LATER": "[layer2.0,layer2.1]"},
    "vit": {"EARLIER": blocks(0, 6), "LATER": blocks(4, 6)},
    "efficientnet": {"EARLIER": stages(3, 4), "LATER": "[blocks.4.1,blocks.4.2]"},
    "caltech": {"EARLIER": blocks(2, 12), "LATER": blocks(8, 12)},
}
METRICS = ("srg", "sds", "energy_gain")
IMAGES = {"cnn": 60, "vit": 60, "efficientnet": 16, "caltech": 16}
LEFT_OUT = {"coiba_fast:beta=0.3", "coiba_fast:beta=10", "coiba_fast:information=mean", "coiba_fast:beta=3,steps=20"}
LARGE = ("efficientnet", "caltech")  # models for which these settings are left out
OWN = {  # arguments of the leaderboards that are others here: images that are in none of them
    "cnn": ["--data.split", "val"],
    "vit": ["--data.split", "val"],
    "caltech": [],
    "efficientnet": [],
}


def command(name: str, runs: Path) -> list[str]:
    """The words of one model's comparison."""
    given = list(RUNS[name])
    start = given.index("--methods")
    end = next(k for k, word in enumerate(given) if k > start and word.startswith("-"))
    settings = [setting for setting in SETTINGS if name not in LARGE or setting not in LEFT_OUT]
    given[start:end] = ["--methods", *(_of_model(setting, name) for setting in settings)]
    given[given.index("--suite") + 1] = "quick"
    given[given.index("--limit") + 1] = str(IMAGES[name])
    if name == "efficientnet":
        prepare(runs / "boxes")
        place = given.index("--data.root")
        given[place : place + 2] = words(runs / "boxes", "tuning")
    if name == "caltech":
        place = given.index("--data.root") + 1
        given[place] = given[place].replace("/val", "/train")
    return [*given, *OWN[name], "--pictures", "false", "--output", str(runs / name)]


def gains(runs: Path) -> dict[tuple[str, str, str], tuple[float, float, float]]:
    """(model, setting, metric) -> mean of the paired difference to the paper's setting, with its interval."""
    found: dict[tuple[str, str, str], tuple[float, float, float]] = {}
    for name in IMAGES:
        file = runs / name / "scores" / "scores.parquet"
        if not file.exists():
            continue
        scores: dict[tuple[str, str], list[float]] = {}
        for row in pq.read_table(file).to_pylist():
            scores.setdefault((row["method"], row["metric"]), []).append(row["score"])
        for setting in SETTINGS[1:]:
            row = _of_model(setting, name).replace(":", " ")
            for metric in METRICS:
                ours, paper = scores.get((row, metric)), scores.get((PAPER, metric))
                if ours and paper and len(ours) == len(paper):
                    difference = torch.tensor(ours, dtype=torch.float64) - torch.tensor(paper, dtype=torch.float64)
                    found[name, setting, metric] = tuple(paired_intervals(difference.unsqueeze(1))[0])
    return found


def summary(runs: Path) -> str:
    """A table in Markdown: a row per setting, a column per model and metric; stars where the interval leaves out 0."""
    found = gains(runs)
    columns = [(m, k) for m in IMAGES for k in METRICS if any((m, s, k) in found for s in SETTINGS[1:])]
    lines = ["| setting | " + " | ".join(f"{m}: {k}" for m, k in columns) + " | better | worse |"]
    lines.append("|---|" + "--:|" * (len(columns) + 2))
    for setting in SETTINGS[1:]:
        cells, better, worse = [], 0, 0
        for model, metric in columns:
            if (model, setting, metric) not in found:
                cells.append("-")
                continue
            mean, low, high = found[model, setting, metric]
            better, worse = better + (low > 0), worse + (high < 0)
            cells.append(f"{mean:+.3f}{'*' if low > 0 or high < 0 else ''}")
        lines.append(f"| {setting.replace(':', ' ')} | " + " | ".join(cells) + f" | {better} | {worse} |")
    return "\n".join(lines) + "\n"


def _of_model(setting: str, name: str) -> str:
    """A setting with the layers of a model."""
    for word, layers in LAYERS[name].items():
        setting = setting.replace(word, layers)
    return setting


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*RUNS, []])
    parser.add_argument("--runs", type=Path, default=Path("runs/settings"))
    parser.add_argument("--summary", action="store_true")
    given = parser.parse_args()
    status = max([main(["compare", *command(name, given.runs)]) for name in given.names], default=0)
    if given.summary:
        (RESULTS / "coiba_settings.md").write_text(summary(given.runs), encoding="utf-8")
        print(summary(given.runs))
    sys.exit(status)
