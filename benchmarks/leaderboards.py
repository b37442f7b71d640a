"""The leaderboards of docs/results: one command each, from explanations to table.

    python -m benchmarks.leaderboards cnn vit efficientnet caltech --runs runs/leaderboards

A stopped run continues. Real models and images are found through LIT_COIBA_ASSETS, or beside the checkout.
"""

from __future__ import annotations

import argparse
import hashlib
import json
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

SUITE = "faithfulness+in_distribution"  # of the real models, whose images have no regions

FEW = "localisation+in_distribution"
ALL = "faithfulness+cells+localisation+in_distribution"
PARTS = ["--data", "SyntheticParts", "--data.batch_size", "20", "--limit", "500", "--suite"]
AUTO = ["--trainer.precision", "auto"]
HEADS = ["--methods", "head_attribution", "grad_cam"]
WEIGHTS = "RUNS/weights.safetensors"  # what a command of FITS writes

FITS: dict[str, list[str]] = {  # heads that do not come with lit-coiba; minutes each
    "cnn_infodisent": [
        *("-c", "configs/experiment/br_npa_high_resolution_synthetic_parts.yaml", "--model.teacher", "null"),
        *("--model.head", "lit_coiba.heads.InfoDisentHead", "--trainer.max_epochs", "3"),
    ],
    "vit_br_npa": [
        *("-c", "configs/experiment/infodisent_synthetic_parts.yaml", "--cache", "null"),
        *("--model.head", "lit_coiba.heads.BRNPAHead", "--model.head.parts", "3", "--model.head.dropout", "0.2"),
    ],
}

RUNS: dict[str, list[str]] = {
    "cnn": [
        *("--methods", *GRADIENTS, "var_grad:n_samples=16", *CAMS, "score_cam:channels=64", "deep_lift"),
        *("composite_lrp", *FEWER, *BOTTLENECKS, "-c", "configs/model/synthetic_parts_cnn.yaml", *PARTS, ALL),
    ],
    "vit": [
        *("--methods", *GRADIENTS, "var_grad:n_samples=16", "grad_cam", *ATTENTION, "vit_cx", *FEWER, *BOTTLENECKS),
        *("-c", "configs/model/synthetic_parts_vit.yaml", *PARTS, ALL, *AUTO),
    ],
    # Interpretable heads are models of their own: what a head itself says of its decision, beside Grad-CAM of it.
    "cnn_br_npa": [*HEADS, "-c", "configs/model/br_npa_high_resolution_synthetic_parts.yaml", *PARTS, FEW, *AUTO],
    "cnn_infodisent": [
        *(*HEADS, "-c", "configs/model/br_npa_high_resolution_synthetic_parts.yaml", "--model.weights", WEIGHTS),
        *(*PARTS, FEW, *AUTO),
    ],
    "vit_br_npa": [
        *(*HEADS, "-c", "configs/model/infodisent_synthetic_parts.yaml", "--model.weights", WEIGHTS),
        *(*PARTS, FEW, *AUTO),
    ],
    "vit_infodisent": [*HEADS, "-c", "configs/model/infodisent_synthetic_parts.yaml", *PARTS, FEW, *AUTO],
    "one_cell": [
        *("--methods", *GRADIENTS, *CAMS, "deep_lift", "composite_lrp", "occlusion", *BOTTLENECKS),
        *("-c", "configs/model/synthetic_parts_cnn_one_cell.yaml", "--data", "SyntheticParts"),
        *("--data.batch_size", "20", "--suite", "idsds+localisation+in_distribution", "--limit", "60"),
    ],
    "sanity": [
        *("--methods", *GRADIENTS, "grad_cam", "layer_cam", "composite_lrp", "occlusion", *BOTTLENECKS),
        *("-c", "configs/model/synthetic_parts_cnn.yaml", "--data", "SyntheticParts", "--data.batch_size", "20"),
        *("--suite", "sanity", "--limit", "60"),
    ],
    "efficientnet": [
        *("--methods", *GRADIENTS, *CAMS, "composite_lrp", "occlusion:window=32", *BOTTLENECKS[:2], "uni"),
        *("--model.backbone.name", "tf_efficientnet_lite0"),
        *("--model.backbone.checkpoint", str(ASSETS / "models" / "tf_efficientnet_lite0.fp16.safetensors")),
        *("--data.root", str(ASSETS / "imagenet-samples" / "images"), "--data.batch_size", "10"),
        *("--suite", SUITE, "--limit", "100", *AUTO),
    ],
    "caltech": [
        *("--methods", *GRADIENTS, "grad_cam", *ATTENTION, *BOTTLENECKS[:3]),
        *("--model.backbone.name", "vit_small_patch14_dinov2", "--model.backbone.num_classes", "101"),
        *("--model.backbone.timm_kwargs", "{img_size: 168}"),
        *("--model.backbone.checkpoint", str(ASSETS / "models" / "vit_small_patch14_caltech101.fp16.safetensors")),
        *("--data.root", str(ASSETS / "caltech101" / "val"), "--data.batch_size", "10"),
        *("--suite", SUITE, "--limit", "100", *AUTO),
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
    if name in FITS:
        words[words.index(WEIGHTS)] = str(fit(name, runs))
    status = main(["compare", *words, "--output", str(runs / name)])
    if status in (0, 3) and limit is None and suite is None:
        keep(name, runs / name / "scores", words)
    return status


def fit(name: str, runs: Path) -> Path:
    """Train a head, unless that is done; its weights."""
    weights = runs / f"{name}.safetensors"
    if not weights.exists():
        written = {"class_path": "lit_coiba.callbacks.ExportWeights", "init_args": {"file": str(weights)}}
        logs = ["--trainer.logger.init_args.save_dir", str(runs / "fits")]
        if status := main(["fit", *FITS[name], *logs, "--trainer.callbacks", json.dumps([written])]):
            sys.exit(status)
    return weights


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
