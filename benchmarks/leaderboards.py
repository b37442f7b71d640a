"""The leaderboards of docs/results: one command each, from explanations to table.

    python -m benchmarks.leaderboards cnn vit efficientnet caltech --runs runs/leaderboards

A stopped run continues. Real models and images are found through LIT_COIBA_ASSETS, or beside the checkout.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
from pathlib import Path

from lit_coiba.cli import main

RESULTS = Path(__file__).parents[1] / "docs" / "results"
ASSETS = Path(os.environ.get("LIT_COIBA_ASSETS", Path(__file__).parents[2] / "shared" / "assets"))
KEPT = ("leaderboard.md", "leaderboard.csv", "agreement.csv", "leaderboard.png", "agreement.png", "curves.png")
KEPT += ("critical_difference.png",)

# Some 200 evaluations of an image where the default has thousands.
FEWER = ["rise:n_samples=200", "lime:n_samples=200", "kernel_shap:n_samples=200", "sobol:grid_size=7,n_samples=4"]
FEWER += ["occlusion"]
GRADIENTS = ["saliency", "input_x_gradient", "integrated_gradients:steps=16", "smooth_grad:n_samples=16"]
BOTTLENECKS = ["coiba_fast", "iba_fast", "nib", "uni"]
CAMS = ["grad_cam", "hires_cam", "layer_cam"]
ATTENTION = ["attention_rollout", "chefer", "attn_lrp", "cp_lrp"]

SUITE = "quick"  # of the real models; faithfulness+in_distribution costs three times as many forwards

RUNS: dict[str, list[str]] = {
    "cnn": [
        *("--methods", *GRADIENTS, *CAMS, "deep_lift", "composite_lrp", *FEWER, *BOTTLENECKS),
        *("-c", "configs/model/synthetic_parts_cnn.yaml", "--data", "SyntheticParts", "--data.batch_size", "20"),
        *("--suite", "faithfulness+cells+localisation+in_distribution", "--limit", "500"),
    ],
    "vit": [
        *("--methods", *GRADIENTS, *CAMS[:1], *ATTENTION, *FEWER, *BOTTLENECKS),
        *("-c", "configs/model/synthetic_parts_vit.yaml", "--data", "SyntheticParts", "--data.batch_size", "20"),
        *(
            "--suite",
            "faithfulness+cells+localisation+in_distribution",
            "--limit",
            "500",
            "--trainer.precision",
            "auto",
        ),
    ],
    "one_cell": [
        *("--methods", *GRADIENTS, *CAMS, "deep_lift", "composite_lrp", "occlusion", *BOTTLENECKS),
        *("-c", "configs/model/synthetic_parts_cnn_one_cell.yaml", "--data", "SyntheticParts"),
        *("--data.batch_size", "20", "--suite", "idsds+localisation+in_distribution", "--limit", "60"),
    ],
    "efficientnet": [
        *("--methods", *GRADIENTS[:3], *CAMS[::2], "composite_lrp", "occlusion:window=32", *BOTTLENECKS[:2], "uni"),
        *("--model.backbone.name", "tf_efficientnet_lite0"),
        *("--model.backbone.checkpoint", str(ASSETS / "models" / "tf_efficientnet_lite0.fp16.safetensors")),
        *("--data.root", str(ASSETS / "imagenet-samples" / "images"), "--data.batch_size", "10"),
        *("--suite", SUITE, "--limit", "100", "--trainer.precision", "auto"),
    ],
    "caltech": [
        *("--methods", *GRADIENTS[:3], "grad_cam", *ATTENTION[:3], *BOTTLENECKS[:3]),
        *("--model.backbone.name", "vit_small_patch14_dinov2", "--model.backbone.num_classes", "101"),
        *("--model.backbone.timm_kwargs", "{img_size: 168}"),
        *("--model.backbone.checkpoint", str(ASSETS / "models" / "vit_small_patch14_caltech101.fp16.safetensors")),
        *("--data.root", str(ASSETS / "caltech101" / "val"), "--data.batch_size", "10"),
        *("--suite", SUITE, "--limit", "100", "--trainer.precision", "auto"),
    ],
}


def run(name: str, runs: Path, limit: int | None = None, suite: str | None = None, shard: str | None = None) -> int:
    """Make one leaderboard and keep its table; the exit status."""
    words = list(RUNS[name])
    for option, value in (("--limit", limit), ("--suite", suite)):
        if value is not None:
            words[words.index(option) + 1] = str(value)
    if shard is not None:
        words += ["--shard", shard]
    status = main(["compare", *words, "--output", str(runs / name)])
    if status in (0, 3) and limit is None and suite is None:
        keep(name, runs / name / "scores", words)
    return status


def keep(name: str, scores: Path, words: list[str], command: str | None = None) -> None:
    """Copy table and pictures, with the digests of the scores that they were made of."""
    target = RESULTS / name
    target.mkdir(parents=True, exist_ok=True)
    for file in KEPT:
        if (scores / file).exists():
            shutil.copy(scores / file, target / file)
    digest = hashlib.sha256((scores / "scores.parquet").read_bytes()).hexdigest()
    shown = " ".join(word.replace(str(ASSETS), "ASSETS").replace(str(scores.parents[1]), "RUNS") for word in words)
    made_by = command or f"python -m benchmarks.leaderboards {name}"
    text = f"{made_by}\n\nlit-coiba compare {shown}\n\nscores.parquet {digest}\n"
    (target / "command.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=list(RUNS))
    parser.add_argument("--runs", type=Path, default=Path("runs/leaderboards"))
    parser.add_argument("--limit", type=int, help="other number of images; the table is not kept")
    parser.add_argument("--suite", help="other suite; the table is not kept")
    parser.add_argument("--shard", help="share of the blocks, i/n: the table covers what all shards have done so far")
    given = parser.parse_args()
    sys.exit(max(run(name, given.runs, given.limit, given.suite, given.shard) for name in given.names))
