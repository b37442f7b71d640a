"""What every training here optimizes with: AdamW that spares norms, biases and embeddings, warm-up, then a cosine.

Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019, and SGDR, 2017 (one cycle, no restart). Or SGD, and
a learning rate that falls in steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lit_coiba.backbones.layer_depths import layer_depths
from lit_coiba.core.errors import InputError, check_choice, check_not_negative, check_positive

Kind = Literal["adamw", "sgd"]
Schedule = Literal["cosine", "step"]

MOMENTUM = 0.9  # of SGD


def optimization(
    module: nn.Module,
    kind: Kind,
    schedule: Schedule,
    lr: float,
    weight_decay: float,
    scales: Mapping[str, float],
    steps: int,
    warmup: float,
) -> dict[str, Any]:
    """Optimizer and schedule, as Lightning's `configure_optimizers` returns them.

    Args:
        module: The module.
        kind: Optimizer.
        schedule: ``cosine``, see `warmup_cosine`, or ``step``, see `thirds`.
        lr: Highest learning rate.
        weight_decay: Weight decay of matrices.
        scales: As in `parameter_groups`.
        steps: Number of all steps.
        warmup: Share of them during which the rate rises, of a cosine.
    """
    optimizer: Optimizer = adamw(module, lr, weight_decay, scales)
    if kind == "sgd":
        optimizer = SGD(
            [{key: group[key] for key in ("params", "weight_decay", "lr")} for group in optimizer.param_groups],
            momentum=MOMENTUM,
        )
    factor = warmup_cosine(steps, warmup) if schedule == "cosine" else thirds(steps)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}}


def checked_kinds(kind: Kind, schedule: Schedule) -> tuple[Kind, Schedule]:
    """An optimizer and a schedule, which there are.

    Raises:
        InputError: There are not.
    """
    return check_choice(kind, Kind, "optimizer"), check_choice(schedule, Schedule, "schedule")


def adamw(module: nn.Module, lr: float, weight_decay: float, scales: Mapping[str, float] | None = None) -> AdamW:
    """AdamW over the trainable parameters of `module`; `scales` as in `parameter_groups`."""
    groups = parameter_groups(module, weight_decay, scales)
    return AdamW([{**group, "lr": lr * group.pop("scale")} for group in groups], lr=lr)


def parameter_groups(
    module: nn.Module, weight_decay: float, scales: Mapping[str, float] | None = None
) -> list[dict[str, Any]]:
    """Trainable parameters in groups of one weight decay and one scale of the learning rate, the largest scale first.

    Vectors (biases, norms, scales) and what a timm model lists in `no_weight_decay` (class token, position embeddings,
    relative position biases) are not decayed.

    Args:
        module: The module.
        weight_decay: Weight decay of matrices.
        scales: Name of a parameter -> factor on the learning rate, above 0; 1 where it is not named.

    Returns:
        Groups with ``params``, ``weight_decay`` and ``scale``.
    """
    names = _names_of_decayed(module)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(((scales or {}).get(name, 1.0), name not in names), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": 0.0 if kept else weight_decay, "scale": scale}
        for (scale, kept), parameters in sorted(groups.items(), key=lambda group: (-group[0][0], group[0][1]))
    ]


def decayed(module: nn.Module) -> list[nn.Parameter]:
    """Trainable parameters that are decayed: no vectors and no embeddings, see `parameter_groups`."""
    names = _names_of_decayed(module)
    return [one for name, one in module.named_parameters() if one.requires_grad and name in names]


def _names_of_decayed(module: nn.Module) -> set[str]:
    spared = {
        f"{prefix}.{name}" if prefix else name
        for prefix, child in module.named_modules()
        for name in getattr(child, "no_weight_decay", set)()
    }
    return {name for name, one in module.named_parameters() if one.dim() >= 2 and name not in spared}


def warmup_cosine(steps: int, warmup: float) -> Callable[[int], float]:
    """Factor on the learning rate at each step: up in a line over the share `warmup` of all steps, then a cosine to 0.

    Example:
        >>> factor = warmup_cosine(steps=100, warmup=0.1)
        >>> [round(factor(step), 2) for step in (0, 4, 9, 55, 100)]
        [0.1, 0.5, 1.0, 0.5, 0.0]
    """
    rising = round(warmup * steps)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rising) / max(1, steps - rising))))

    return factor


def thirds(steps: int) -> Callable[[int], float]:
    """Factor on the learning rate at each step: a tenth of the one before after each third of all steps.

    Example:
        >>> factor = thirds(steps=9)
        >>> [round(factor(step), 2) for step in (0, 2, 3, 8, 9)]
        [1.0, 1.0, 0.1, 0.01, 0.01]
    """
    return lambda step: 0.1 ** min(2, 3 * step // max(1, steps))


def layer_scales(model: nn.Module, classifier: nn.Module, base: float, decay: float, prefix: str) -> dict[str, float]:
    """Name of each parameter of a backbone -> factor on the learning rate; the classifier's is 1, and is left out.

    Args:
        model: The backbone's model.
        classifier: What classifies.
        base: Factor of the whole backbone.
        decay: Factor from each layer to the one below it.
        prefix: What comes before the names.
    """
    depths: Mapping[str, int] = layer_depths(model) if decay < 1 else {}
    top = max(depths.values(), default=0)
    own: Collection[int] = {id(parameter) for parameter in classifier.parameters()}
    return {
        f"{prefix}{name}": base * decay ** (top - depths.get(name, top))
        for name, parameter in model.named_parameters()
        if id(parameter) not in own
    }


def check_recipe(
    lr: float, backbone_lr: float | None, layer_decay: float, weight_decay: float, **shares: float
) -> None:
    """Refuse numbers that no training can begin with.

    Args:
        lr: Highest learning rate.
        backbone_lr: That of the backbone; None = the same.
        layer_decay: Factor on it from one layer to the one before.
        weight_decay: Weight decay.
        **shares: Numbers from 0 to 1.

    Raises:
        InputError: Naming the first that is none.
    """
    check_positive(lr=lr, **({} if backbone_lr is None else {"backbone_lr": backbone_lr}))
    check_not_negative(weight_decay=weight_decay)
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise InputError(f"{name} is {share}: give a share from 0 to 1")
    if not 0 < layer_decay <= 1:
        raise InputError(f"layer_decay is {layer_decay}: give a factor above 0 and up to 1")
