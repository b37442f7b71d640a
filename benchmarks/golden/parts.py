"""Heads, bounds, pictures and the functions below all of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from benchmarks.golden.api import (
    Box,
    BRNPAHead,
    EPICHead,
    InfoDisentHead,
    LinearHead,
    Preprocessing,
    Rotation,
    SyntheticParts,
    Transform,
    class_rows,
    distillation_loss,
    functional,
    overlap,
    propagate,
    specification,
    trace,
    upper_bounds,
)
from benchmarks.golden.models import CLASSES, drawn, images, model, other_targets, randomised, tiny_cnn
from benchmarks.golden.numbers import Case

CHANNELS, HEAD_CLASSES = 6, 4
HEADS: dict[str, tuple[Any, dict[str, dict[str, Any]]]] = {
    "InfoDisentHead": (
        InfoDisentHead,
        {"default": {}, "bias": {"bias": True}, "unrotated": {"rotation": False}}
        | {pooling: {"pooling": pooling} for pooling in ("hard", "average", "top_k", "log_sum_exp")}
        | {positive: {"positive": positive} for positive in ("relu", "softplus", "abs", "exp", "none")}
        | {evidence: {"evidence": evidence} for evidence in ("peak", "spread")}
        | {"exponential": {"parametrization": "exponential"}, "soft": {"hard": False, "tau": 0.5, "tau_end": 0.05}},
    ),
    "BRNPAHead": (
        BRNPAHead,
        {
            **{"default": {}, "bias": {"bias": True}, "seeds": {"refine": False}, "unclamped": {"clamp": False}},
            **{"parts": {"parts": 2, "dropout": 0.0}, "additive": {"evidence": "additive"}},
            "first": {"evidence": "first"},
        },
    ),
    "EPICHead": (
        EPICHead,
        {"default": {}, "exponential": {"parametrization": "exponential"}, "invertible": {"form": "invertible"}},
    ),
    "LinearHead": (LinearHead, {"default": {}, "plain": {"bias": False}}),
}
ROTATIONS = {"auto": {}, "exponential": {"parametrization": "exponential"}, "invertible": {"form": "invertible"}}
PREPROCESSINGS = {
    "default": Preprocessing(),
    "oblong": Preprocessing((96, 64), 0.9, "bilinear", (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)),
    "nearest": Preprocessing((64, 64), 1.0, "nearest", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}


def cases() -> Iterator[Case]:
    """All of them."""
    for name, (head, variants) in HEADS.items():
        for variant, arguments in variants.items():
            yield f"head/{name}/{variant}", partial(_head, head, arguments)
    for variant, arguments in ROTATIONS.items():
        yield f"head/Rotation/{variant}", partial(_rotation, arguments)
    for bound in ("ibp", "crown_ibp"):
        for form in ("margin", "independent"):
            yield f"bound/cnn/{bound}/{form}", partial(_cnn_bounds, bound, form)
    for bound in ("ibp", "crown_ibp", "crown"):
        yield f"bound/tiny/{bound}", partial(_tiny_bounds, bound)
    for name, preprocessing in PREPROCESSINGS.items():
        yield f"preprocess/{name}", partial(_preprocessed, preprocessing)
    for name in sorted(set(functional.__all__) - FUNCTIONS.keys()):
        print(f"golden numbers have no function {name}", file=sys.stderr)
    for name, compute in FUNCTIONS.items():
        yield f"functional/{name}", compute
    yield "loss/distillation_loss", _distillation


def _head(kind: Any, arguments: dict[str, Any]) -> Any:
    head, features = kind(CHANNELS, HEAD_CLASSES, **arguments), drawn(5, CHANNELS, 3, 5)
    start = {name: value.clone() for name, value in head.state_dict().items()}
    randomised(head).constrain()
    head.anneal(0.5)
    trained = head.train()(features)
    head.eval()
    targets = torch.arange(5) % HEAD_CLASSES
    return {
        "start": start,
        "training_logits": trained,
        "logits": head(features),
        "explain": head.explain(features)._asdict(),
        "explain_given": head.explain(features, targets, top=3)._asdict(),
        "contributions": head.contributions(features, targets),
        "bias": head.bias_of(targets),
        "activations": head.activations(features),
        "unit_weights": head.unit_weights(),
        "diagnostics": head.diagnostics(),
        "gradients": _gradients(head, features, targets),
    }


def _gradients(head: Any, features: Tensor, targets: Tensor) -> dict[str, Tensor | None]:
    """Of logits and contributions; EPIC's logits have none."""
    (head(features).square().sum() + head.contributions(features, targets).pow(3).sum()).backward()
    return {name: parameter.grad for name, parameter in head.named_parameters()}


def _rotation(arguments: dict[str, Any]) -> Any:
    rotation = randomised(Rotation(CHANNELS, **arguments)).eval()
    found = {"matrix": rotation.matrix(), "inverse": rotation.inverse(), "turned": rotation(drawn(2, CHANNELS, 3, 3))}
    return {**found, "error": torch.tensor(rotation.orthogonality_error())}


def _cnn_bounds(bound: Any, form: Any) -> Any:
    """From the third stage on."""
    network = model("cnn")
    with torch.no_grad():
        program = trace(network, "layer3", torch.float64)
        box = Box.around(network.split(["layer3"]).lower(images(2)).activation.double(), 1e-3)
        targets = class_rows(other_targets(2), CLASSES)
        rows, _ = specification(targets, form)
        return {
            "overlap": overlap(program, box, targets, bound, form),
            "rows": upper_bounds(program, box, rows.double(), bound),
            "logits": propagate(program, box).boxes[program.output],
        }


def _tiny_bounds(bound: Any) -> Any:
    with torch.no_grad():
        program, box = trace(tiny_cnn()), Box.around(drawn(3, 3, 8, 8), 0.05)
        targets = class_rows(torch.tensor([0, 1, 2]), 4)
        found = {form: overlap(program, box, targets, bound, form) for form in _FORMS}
        rival = overlap(program, box, targets, bound, "margin", 3)
        return {**found, "rival": rival, "boxes": list(propagate(program, box).boxes.values())}


_FORMS: Any = ("margin", "independent")


def _preprocessed(preprocessing: Preprocessing) -> Any:
    """A picture of 143 x 87 pixels, its region, its parts, and SyntheticParts' own."""
    pixels = (drawn(87, 143, 3) * 50 + 128).clamp(0, 255).byte()
    transform, dataset = Transform(preprocessing), SyntheticParts().dataset("val")
    parts = dataset.parts(0)
    assert parts is not None
    points = transform.keypoints(parts, 64, 64)
    pictures = {"odd": Image.fromarray(pixels.numpy()), "synthetic": dataset.image(0)}
    found = {
        name: {"pixels": transform.pixels(picture), "input": transform(picture)} for name, picture in pictures.items()
    }
    region = transform.region(drawn(87, 143, seed=1) > 0)
    back = preprocessing.denormalize(found["odd"]["input"])
    return {**found, "region": region, "xy": points.xy, "visible": points.visible, "denormalized": back}


def _distillation() -> Any:
    student, teacher = drawn(6, 5).requires_grad_(), drawn(6, 5, seed=1)
    loss = distillation_loss(student, teacher, torch.arange(6) % 5, 6.0, 0.5, 2.0, 0.1)
    return {"loss": loss, "gradient": torch.autograd.grad(loss, student)[0]}


def _maps() -> Tensor:
    return drawn(3, 5, 4, 6)


def _regions() -> Tensor:
    return drawn(3, 8, 9, seed=5) > 0.3


def _shown() -> Tensor:
    return (drawn(40, 6, seed=6) > 0).double()


def _weights() -> Tensor:
    return functional.cosine_similarity_weights(_shown())


def _inside() -> tuple[Tensor, Tensor, Tensor]:
    """Parts in patches, parts that can be seen, and the units of the patches."""
    visible = drawn(30, 5, seed=8) > -1
    return (drawn(30, 5, seed=7) > 0) & visible, visible, torch.arange(30) % 4


def _boxes() -> Tensor:
    corner = (drawn(30, 2, seed=9).abs() * 10).long()
    return torch.cat([corner, corner + 5 + (drawn(30, 2, seed=10).abs() * 20).long()], 1)


def _strongest(seed: int = 0) -> Any:
    return functional.strongest(drawn(8, 5, 4, 4, seed=seed), torch.arange(8) + 8 * seed, 3, sides=2)


def _moments(seed: int) -> Any:
    return functional.Moments.of(drawn(7, 4, 3, seed=seed).relu())


def _halves() -> Tensor:
    return functional.sobol_sequence(8, 6, 0)


def _surrogate(fit: Callable[..., tuple[Tensor, Tensor]], alpha: float) -> Any:
    return fit(_shown(), drawn(2, 40), _weights(), alpha)


def _noised(seed: int) -> tuple[Tensor, Tensor]:
    """A ratio and one minus it."""
    alpha = 3 * drawn(50, seed=seed)
    return alpha.sigmoid(), (-alpha).sigmoid()


F: Any = functional
FUNCTIONS: dict[str, Callable[[], Any]] = {
    "BITS_PER_NAT": lambda: F.BITS_PER_NAT,
    "LEFT_RIGHT": lambda: F.LEFT_RIGHT,
    "ChannelRV": lambda: F.ChannelRV(torch.tensor(0.5), torch.tensor(1)),
    "Interval": lambda: F.Interval(0.0, 1.0, 2.0),
    "Moments": lambda: {**_moments(0).merge(_moments(1))._asdict(), "std": _moments(0).std()},
    "PartPurity": lambda: F.part_purity(*_inside(), share="patches").summary(),
    "Representatives": lambda: F.representatives(_maps().relu(), 3, clamp=True),
    "Strongest": lambda: F.strongest(_maps(), torch.arange(3), 2, "sum"),
    "antithetic_noise": lambda: F.antithetic_noise(1, 2, 3, (5, 4)),
    "area_under_curve": lambda: F.area_under_curve(drawn(4, 9)),
    "beyond_masked_prior": lambda: F.beyond_masked_prior(*_noised(0), _noised(1)[1]),
    "blur_images": lambda: [
        F.blur_images(images(1), "gaussian", 11, 3.0),
        F.blur_images(images(1), "rise", 11, 5.0),
    ],
    "bootstrap_interval": lambda: F.bootstrap_interval(drawn(30), draws=200),
    "cell_values": lambda: [F.cell_values(drawn(2, 7, 9), grid) for grid in ((4, 4), (7, 9), (14, 5))],
    "centre_cropped": lambda: F.centre_cropped(_boxes(), 12),
    "channel_purity": lambda: F.channel_purity(_maps()),
    "channel_rv": lambda: F.channel_rv(drawn(20, 5)),
    "coalitions": lambda: [F.coalitions(4, 100), F.coalitions(9, 31, 1)],
    "convolve": lambda: [F.convolve(_maps(), [0.2, 0.6, 0.2], border) for border in ("reflect", "zeros")],
    "cosine_similarity_weights": _weights,
    "energy_inside": lambda: F.energy_inside(drawn(3, 8, 9), _regions()),
    "explained_variance": lambda: F.explained_variance(
        _shown(), drawn(2, 40), _weights(), *_surrogate(F.weighted_ridge, 0.1)
    ),
    "first_order": lambda: F.first_order(drawn(16, 2), drawn(16, 2, seed=1), drawn(3, 16, 2, seed=2)),
    "folded_gaussian_window": lambda: F.folded_gaussian_window(11, 5.0),
    "gaussian_kernel": lambda: F.gaussian_kernel(1.5),
    "gaussian_window": lambda: F.gaussian_window(9, 2.0),
    "hsic": lambda: [
        F.hsic(_shown(), drawn(40, 2), kernel, bandwidth)
        for kernel in ("binary", "rbf", "sobolev")
        for bandwidth in ("median_distance", "median_y")
    ],
    "information": lambda: F.information(3 * drawn(50), drawn(50, seed=1).square()),
    "information_gradient": lambda: F.information_gradient(3 * drawn(50), drawn(50, seed=1).square()),
    "information_of_ratio": lambda: F.information_of_ratio(*_noised(0), drawn(50, seed=1).square()),
    "merge_parts": lambda: F.merge_parts(_inside()[0], torch.tensor([0, 1, 1, 2, 0])),
    "merge_strongest": lambda: F.merge_strongest(_strongest(), _strongest(1)),
    "merged_names": lambda: F.merged_names(["beak", "left eye", "tail", "right eye"])[1],
    "noise": lambda: [F.noise(0, 0, 0, (3, 4)), F.noise(1, 2, 3, (50,))],
    "pair_purity": lambda: F.pair_purity(_maps(), drawn(5, 5, seed=1), torch.tensor([0, 3, 4])),
    "paired_intervals": lambda: F.paired_intervals(drawn(30, 3), 0.9, 200, 1),
    "part_purity": lambda: F.part_purity(*_inside()),
    "part_vectors": lambda: F.part_vectors(
        drawn(3, 2, 4, 4), 16 + 8 * drawn(3, 5, 2, seed=1), drawn(3, 5, seed=2) > -1, (32, 32), 6
    ),
    "parts_inside": lambda: F.parts_inside(_boxes(), 10 + 10 * drawn(30, 5, 2), _inside()[1]),
    "perturb": lambda: F.perturb(
        drawn(2, 3, 4, 5), drawn(2, 3, 4, 5, seed=1), F.ranks(drawn(2, 4, 5)), torch.tensor([3, 11])
    ),
    "pointing_hit": lambda: [F.pointing_hit(drawn(3, 8, 9), _regions(), tolerance) for tolerance in (0.0, 2.0)],
    "precise": lambda: [F.precise(drawn(3).half()), F.precise(drawn(3).double())],
    "prototype_counts": lambda: [torch.tensor(F.prototype_counts(decay=d)) for d in ("linear", "exponential", "log")],
    "random_cells": lambda: F.random_cells(1, 9, 4, 0.3),
    "ranks": lambda: [F.ranks(drawn(3, 8, 9).round(), ties) for ties in ("first", "last")],
    "relevance_rank": lambda: F.relevance_rank(drawn(3, 8, 9), _regions()),
    "replicated_rows": lambda: [F.replicated_rows(_halves(), torch.arange(32), with_b) for with_b in (False, True)],
    "representatives": lambda: [
        F.representatives(_maps(), 3),
        F.representatives(_maps().relu(), 3, refine=False, scores=drawn(3, 3, 4, 6, seed=1)),
    ],
    "resample_curve": lambda: F.resample_curve(drawn(4, 9), 21),
    "resize_map": lambda: [F.resize_map(drawn(2, 7, 9), size) for size in ((14, 20), (3, 4))],
    "resize_ratio": lambda: [F.resize_ratio(drawn(2, 8, 8).sigmoid(), size) for size in ((16, 16), (3, 5))],
    "rv_coefficient": lambda: F.rv_coefficient(drawn(20, 3), drawn(20, 4, seed=1)),
    "sample_noise": lambda: F.sample_noise(["a", "b"], (3, 4), 0.2, 0.25, 1),
    "shapley_values": lambda: F.shapley_values(*F.coalitions(6, 30), drawn(30, 2), drawn(2, seed=1), drawn(2, seed=2)),
    "shifted_masks": lambda: F.shifted_masks(*_masks(), (17, 13)),
    "signed_gumbel": lambda: (
        [F.signed_gumbel(_maps(), 0.5, drawn(2, 3, 5, 4, 6, seed=1), hard) for hard in (False, True)]
        + [F.signed_gumbel(_maps(), 0.5)]
    ),
    "signed_log_sum_exp": lambda: F.signed_log_sum_exp(_maps(), 0.5),
    "signed_max": lambda: F.signed_max(_maps()),
    "signed_top_k": lambda: F.signed_top_k(_maps(), 3),
    "smooth": lambda: F.smooth(_maps(), 0.7),
    "sobol_sequence": lambda: [F.sobol_sequence(8, 5), F.sobol_sequence(8, 5, 1, 8)],
    "spatial_average": lambda: F.spatial_average(_maps()),
    "spread_cells": lambda: F.spread_cells(drawn(2, 3, 4), (7, 9)),
    "step_counts": lambda: [torch.tensor(F.step_counts(50, steps=7)), torch.tensor(F.step_counts(50, size=8))],
    "strongest": _strongest,
    "total_order": lambda: {
        estimator: F.total_order(drawn(16, 2), drawn(3, 16, 2, seed=2), estimator)
        for estimator in ("jansen", "homma", "janon", "glen_isaacs", "saltelli")
    },
    "twins": lambda: F.duplicates(F.strongest(_maps().repeat(1, 2, 1, 1), torch.arange(3), 3)),
    "uniform": lambda: F.uniform(drawn(50)),
    "weighted_lasso": lambda: _surrogate(F.weighted_lasso, 0.05),
    "weighted_ridge": lambda: [_surrogate(F.weighted_ridge, alpha) for alpha in (0.0, 1.0)],
}


def _masks() -> tuple[Tensor, Tensor]:
    kept, shifts = functional.random_cells(1, 9, 4, 0.3)
    return kept.float(), shifts.float()
