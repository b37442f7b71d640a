"""Maps and extras of every attribution method, and the statistics of the bottlenecks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.golden.api import attribution, estimate_statistics
from benchmarks.golden.models import FAMILIES, WITH_HEAD, images, loader, model, other_targets
from benchmarks.golden.numbers import Case

Arguments = dict[str, Any]

COUNT = 3  # images
GIVEN = ("given", "linear")  # variants for given classes: a ReLU takes nothing from the map of a sure prediction
RESIZED = {"cnn": ["layer1.1", "layer2.0"], "swin": ["layers.0.blocks.0", "layers.1.blocks.0"]}  # two grids
SEGMENTED = {
    "prob": {"output": "prob"},
    "blur": {"baseline": "blur"},
    "slic": {"segments": "slic", "baseline": "mean"},
}
CAM = {"linear": {"relu": False}, "prob": {"output": "prob"}}
EVA = {"radius": 0.05, "patch": 16, "start_layer": "layer3", "n_samples": 4, "bound": "ibp"}
REDUCED = {"mean": {"reduce": "mean"}, "abs_max": {"reduce": "abs_max"}, "abs_mean": {"reduce": "abs_mean"}}

# Method -> what makes it cheap, and its variants; a method that is not here is run with its defaults.
METHODS: dict[str, tuple[Arguments, dict[str, Arguments]]] = {
    "EVA": (
        EVA,
        {
            "crown_ibp": {"bound": "crown_ibp", "patch": 32},
            "crown": {"bound": "crown", "patch": 64, "start_layer": "layer4", "n_samples": 2},
            "independent": {"form": "independent"},
            "rival": {"rival": 2},
            "end_to_end": {"radius": 1e-10, "patch": 32, "start_layer": None, "n_samples": None},
        },
    ),
    "HSIC": (
        {"grid_size": 4, "n_samples": 48},
        {
            "rbf": {"kernel": "rbf"},
            "sobolev": {"kernel": "sobolev", "bandwidth": "median_y"},
            "blur": {"perturbation": "blur", "output": "prob"},
            "amplitude": {"perturbation": "amplitude", "strength": 0.5, "scramble": False},
        },
    ),
    "IBA": (
        {"steps": 4, "copies": 2},
        {
            "smooth": {"smoothing": 1.0},
            "rough": {"smoothing": 0.0},
            "relu": {"relu": True},
            "antithetic": {"antithetic": True, "beta": 5.0},
            "threshold": {"active_threshold": 0.5, "min_std": 0.1, "seed": 1},
        },
    ),
    "LIME": (
        {"grid_size": 4, "n_samples": 60},
        {**SEGMENTED, "lasso": {"surrogate": "lasso", "alpha": 0.01}, "wide": {"kernel_width": 1.0}},
    ),
    "NIB": ({"steps": 3}, {"relu": {"relu": True}, "prob": {"output": "prob"}}),
    "RISE": (
        {"grid_size": 4, "n_samples": 48},
        {
            "coverage": {"normalization": "coverage", "keep": 0.3},
            "prob": {"output": "prob"},
            "noise": {"baseline": "noise"},
        },
    ),
    "UNI": (
        {"steps": 3, "matching_steps": 3},
        {
            "logit": {"output": "logit"},
            "sphere": {"projection": "sphere", "norm": 1.0},
            "random": {"delta0": "random", "decay": 0.5, "seed": 1},
            "large": {"eta": 0.1, "eps": 1.0, "mu": 0.3},
            **REDUCED,
        },
    ),
    "AttentionRollout": ({}, {"max": {"heads": "max"}, "min": {"heads": "min"}, "residual": {"residual": 0.2}}),
    "AttnLRP": ({}, {"conserving": {"conserving": True}, **REDUCED}),
    "Chefer": ({}, {"prob": {"output": "prob"}}),
    "CoIBA": (
        {"steps": 4, "copies": 2},
        {
            "mean": {"information": "mean"},
            "antithetic": {"antithetic": True},
            "beta": {"beta": 10.0, "lr": 0.5, "alpha_init": 3.0},
            "min_std": {"min_std": 0.5, "seed": 1},
        },
    ),
    "CompositeLRP": (
        {},
        {
            name: {"composite": name}
            for name in (
                "epsilon",
                "epsilon_plus",
                "epsilon_plus_flat",
                "epsilon_alpha2_beta1",
                "epsilon_alpha2_beta1_flat",
            )
        }
        | {"large_epsilon": {"epsilon": 1e-2}}
        | REDUCED,
    ),
    "DeepLift": ({}, {kind: {"baseline": kind} for kind in ("black", "blur", "noise")} | REDUCED),
    "GradCAM": ({}, CAM),
    "HeadAttribution": ({}, {"top": {"top": 3}}),
    "HiResCAM": ({}, CAM),
    "InputIBA": (
        {
            **{"feature_steps": 3, "feature_copies": 2, "n_samples": 20, "group": 10, "epochs": 1, "batch": 10},
            **{"critic_steps": 2, "steps": 3, "copies": 2},
        },
        {"rough": {"smoothing": 0.0, "seed": 1}},
    ),
    "InputXGradient": ({}, {"prob": {"output": "prob"}, **REDUCED}),
    "IntegratedGradients": (
        {"steps": 4},
        {kind: {"baseline": kind} for kind in ("black", "mean", "blur", "noise", "uniform", "opposite")}
        | {rule: {"rule": f"riemann_{rule}"} for rule in ("right", "left", "middle")}
        | {"prob": {"output": "prob"}}
        | {f"reduce_{name}": arguments for name, arguments in REDUCED.items()},
    ),
    "KernelSHAP": ({"grid_size": 4, "n_samples": 60}, SEGMENTED),
    "LayerCAM": ({}, {"prob": {"output": "prob"}}),
    "Occlusion": (
        {"window": 16},
        {
            "dense": {"stride": 8},
            "sum": {"stride": 8, "overlap": "sum"},
            "prob": {"output": "prob", "baseline": "blur"},
        },
    ),
    "RandomMap": ({}, {"shared": {"per_image": False, "grid_size": 8}, "seed": {"seed": 1}}),
    "Saliency": ({}, {"sum": {"reduce": "sum"}, "mean": {"reduce": "mean"}, "abs_mean": {"reduce": "abs_mean"}}),
    "ScoreCAM": ({"channels": 8}, {"prob": {"output": "prob"}}),
    "SmoothGrad": (
        {"n_samples": 4},
        {
            "square": {"kind": "square"},
            "var": {"kind": "var"},
            "prob": {"output": "prob", "sigma": 0.3},
            "sum": {"reduce": "sum"},
            "mean": {"reduce": "mean"},
            "abs_mean": {"reduce": "abs_mean"},
        },
    ),
    "Sobol": (
        {"grid_size": 3, "n_samples": 8},
        {name: {"estimator": name} for name in ("homma", "janon", "glen_isaacs", "saltelli")}
        | {
            "first": {"order": "first", "evaluate_b": True},
            "both": {"evaluate_b": True},
            "blur": {"perturbation": "blur", "output": "prob"},
            "amplitude": {"perturbation": "amplitude", "strength": 0.5},
            "plain": {"scramble": False, "skip_first": 8},
        },
    ),
    "ViTCX": ({}, {"logit": {"output": "logit"}, "coarse": {"delta": 0.3, "noise_scale": 0.5, "seed": 1}}),
}
READOUTS = ("LearnedRanking", "ReadoutCoIBA", "ReadoutIBA")  # each is of one trained model; tests/bottlenecks has them
OWN = ("HeadAttribution",)  # has every variant on the models with a head, too
WITH_A_HEAD = ("HeadAttribution", "Saliency", "GradCAM", "CoIBA", "AttnLRP", "CompositeLRP", "DeepLift", "UNI")


def cases() -> Iterator[Case]:
    """Every method on every model, for the predicted class and for given ones; statistics of the bottlenecks."""
    offered = [name for name in attribution.__all__ if name not in READOUTS]
    plain: dict[str, tuple[Arguments, dict[str, Arguments]]] = dict.fromkeys(offered, ({}, {}))
    for network in (*FAMILIES, *WITH_HEAD):
        for name, (cheap, variants) in (plain | METHODS).items():
            if network in WITH_HEAD and name not in WITH_A_HEAD:
                continue
            prefix = f"method/{network}/{name}"
            chosen = {"default": {}, "given": {}, **(variants if network in FAMILIES or name in OWN else {})}
            for variant, arguments in chosen.items():
                targets = other_targets(COUNT) if variant in GIVEN else None
                yield f"{prefix}/{variant}", partial(_explained, network, name, {**cheap, **arguments}, targets)
            if name == "CoIBA" and network in RESIZED:
                resized = {**cheap, "layers": RESIZED[network], "grids": "resize"}
                yield f"{prefix}/resize", partial(_explained, network, name, resized, None)
                yield f"{prefix}/same", partial(_explained, network, name, {**resized, "grids": "same"}, None)
    for network in FAMILIES:
        yield f"statistics/{network}/estimated", partial(_estimated, network)
        for name in ("CoIBA", "IBA", "InputIBA"):
            yield f"statistics/{network}/{name}", partial(_adopted, network, name)


def _explained(network: str, name: str, arguments: Arguments, targets: Tensor | None) -> Any:
    """Maps, and extras by name."""
    method = getattr(attribution, name)(**arguments)
    method.prepare(model(network), loader())
    explanation = method.explain(model(network), images(COUNT), targets)
    return {"maps": explanation.maps, **explanation.extras}


def _estimated(network: str) -> Any:
    """Statistics of all layers that a leak test may choose from."""
    backbone = model(network)
    return _told(estimate_statistics(backbone, backbone.candidate_layers(), loader()))


def _adopted(network: str, name: str) -> Any:
    """What `prepare` makes of the statistics that a method needs, its leak test included."""
    backbone, method = model(network), getattr(attribution, name)()
    layers = method.statistics_layers(backbone)
    return _told(method.set_statistics(backbone, estimate_statistics(backbone, layers, loader()), loader()))


def _told(found: Any) -> Any:
    numbers = {kind: getattr(found, kind) for kind in ("mean", "std", "active")}
    leak = found.leak and {"kept": found.leak.kept, "chance": found.leak.chance, "layers": " ".join(found.leak.layers)}
    return {**numbers, "count": torch.tensor(found.count), "digest": found.digest(), "leak": leak}
