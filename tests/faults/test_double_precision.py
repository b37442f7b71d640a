"""What is computed for a model in double precision is computed in double precision."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import lit_coiba.attribution as methods
from lit_coiba import bottlenecks
from lit_coiba.attribution import AttentionRollout
from lit_coiba.propagation.attention import read_tokens, token_grid
from tests._testers import tiny

FEW: dict[str, dict[str, Any]] = {
    "CoIBA": {"steps": 2, "copies": 2},
    "IBA": {"steps": 2, "copies": 2},
    "InputIBA": {"steps": 1, "copies": 1, "feature_steps": 2, "feature_copies": 1, "matching_steps": 1},
    "NIB": {"steps": 2},
    "RISE": {"n_samples": 4},
    "Sobol": {"n_samples": 2, "grid_size": 2},
    "HSIC": {"n_samples": 4, "grid_size": 2},
    "LIME": {"n_samples": 8, "grid_size": 2},
    "KernelSHAP": {"n_samples": 8, "grid_size": 2},
    "Occlusion": {"window": 16},
    "ScoreCAM": {"channels": 2},
    "ViTCX": {},
    "SmoothGrad": {"n_samples": 2},
    "UNI": {"steps": 2, "matching_steps": 1},
    "IntegratedGradients": {},
    "EVA": {"radius": 1e-3, "patch": 32, "bound": "ibp"},
}
# Draws are made in single precision by contract, then moved and counted with as they are.
DRAWN = ("randn", "normal_", "empty", "zeros", "ones", "full", "arange", "lift_fresh", "eye")
MOVED = (
    "view",
    "reshape",
    "detach",
    "alias",
    "clone",
    "cat",
    "stack",
    "expand",
    "slice",
    "select",
    "unsqueeze",
    "copy",
    "index",
)


# Zeros, ones, their differences, orders and points of a Sobol sequence are exact in single precision, too.
EXACT = {
    "EVA": {"aten.sub.Tensor"},
    "HSIC": {"aten.div.Tensor"},
    "Sobol": {"aten.div.Tensor"},
    "KernelSHAP": {"aten.sort.default"},
    "Occlusion": {"aten.sub.Tensor", "aten.constant_pad_nd.default"},
}


class Singles(TorchDispatchMode):
    """Operations that compute in single precision: `found` are their names."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output, name = func(*args, **(kwargs or {})), str(func)
        made = [value for value in tree_leaves(output) if isinstance(value, torch.Tensor)]
        single = any(value.dtype == torch.float32 and value.numel() > 1 for value in made)
        if single and not any(part in name for part in (*DRAWN, *MOVED)):
            self.found.add(name)
        return output


def explained(name: str, build: Any) -> tuple[Any, Any, torch.Tensor]:
    model = build().double()
    source = getattr(methods, name, None) or getattr(bottlenecks, name)
    images = tiny.images(8, model.preprocessing.size, seed=5).double()
    method = source(**FEW.get(name, {}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        method.prepare(model, images.split(4))
    return method, model, images[:1]


NAMES = [
    *("AttentionRollout", "AttnLRP", "Chefer", "CompositeLRP", "CoIBA", "DeepLift", "EVA", "GradCAM", "HSIC"),
    *("HiResCAM", "IBA", "InputXGradient", "IntegratedGradients", "KernelSHAP", "LIME", "LayerCAM", "NIB"),
    *("Occlusion", "RISE", "Saliency", "ScoreCAM", "SmoothGrad", "Sobol", "UNI", "ViTCX"),
]
OF_CNNS = {"CompositeLRP", "DeepLift", "EVA"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_rounded_to_single_precision(name):
    """Rollout of a model without CLS summed to 1.0000000522: the shares of tokens were 1/60 in single precision."""
    build = tiny.resnet if name in OF_CNNS else lambda: tiny.vit(global_pool="avg", class_token=False)
    method, model, image = explained(name, build)
    method.explain(model, image, 1)  # the model is looked at first, once
    with Singles() as singles:
        method.explain(model, image, 1)
    assert singles.found <= EXACT.get(name, set())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("ViTCX",)])
def test_a_map_differs_by_no_more_than_its_image(name):
    """By rounding in double precision, and by what a change of 1e-12 does."""
    build = tiny.resnet if name in OF_CNNS else lambda: tiny.vit(global_pool="avg", class_token=False)
    method, model, image = explained(name, build)
    generator = torch.Generator().manual_seed(2)
    noise = torch.randn(image.shape, generator=generator, dtype=torch.float64)
    first, second = (method.attribute(model, image + change, 1) for change in (0, 1e-12 * noise))
    assert (first - second).abs().max() <= 1e-8 * first.abs().max()


def test_a_number_in_single_precision_would_be_found():
    with Singles() as singles:
        shares = torch.zeros(4)
        shares[1:] = 1 / 3
        shares.double()
    assert singles.found == {"aten.fill_.Tensor"}


def test_shares_of_patches_sum_to_one():
    model = tiny.vit(global_pool="avg", class_token=False).double()
    assert read_tokens(model, token_grid(model)).dtype == torch.float64
    total = AttentionRollout().attribute(model, tiny.images(2, model.preprocessing.size).double()).sum((1, 2))
    assert (total - 1).abs().max() < 1e-12
