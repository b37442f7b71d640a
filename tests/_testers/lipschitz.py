"""Small 1-Lipschitz networks and data whose transport is known."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lit_coiba.backbones import Backbone
from lit_coiba.lipschitz.constraint import constrain, exported
from lit_coiba.lipschitz.group_sort import GroupSort2

SIZE, CLASSES = 16, 4
STAGES = {"widths": (8, 16, 16), "strides": (2, 1, 2), "kernel_sizes": (3, 3, 3)}


def backbone(head: str = "disjoint", seed: int = 0, size: int = SIZE, classes: int = CLASSES, **arguments) -> Backbone:
    """A small `lipschitz_cnn` without a constraint."""
    torch.manual_seed(seed)
    kwargs = {**STAGES, "head": head}
    return Backbone("lipschitz_cnn", num_classes=classes, image_size=size, timm_kwargs=kwargs, **arguments)


def constrained(scheme: str = "reshaped", head: str = "disjoint", seed: int = 0, **arguments) -> Backbone:
    """The same with plain weights that obey the constraint, in evaluation mode."""
    made = backbone(head, seed, **arguments)
    constrain(made.model, made.preprocessing.size, scheme)
    made.model = exported(made.model)
    return made.eval()


def mlp(inputs: int, width: int = 32, depth: int = 3, outputs: int = 1, seed: int = 0) -> nn.Sequential:
    """A 1-Lipschitz network of vectors, under its constraint."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for i in range(depth):
        layers += [nn.Linear(width if i else inputs, width), GroupSort2(width, images=False)]
    network = nn.Sequential(*layers, nn.Linear(width, outputs))
    constrain(network, (), channels=inputs)
    return network


def train(
    network: nn.Module, points: Tensor, loss: Callable[[Tensor], Tensor], steps: int = 250, lr: float = 0.02
) -> nn.Module:
    """Minimize a loss of the network's outputs for all points; the exported network, in evaluation mode."""
    optimizer = torch.optim.Adam(network.parameters(), lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(network(points)).backward()
        optimizer.step()
        schedule.step()
    return exported(network).eval()


def circles(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Points on circles of radius 1 (negative) and 2 (positive), whose distance W1 is 1, ``(2 count, 2)``."""
    angles = 2 * math.pi * torch.rand(count, generator=torch.Generator().manual_seed(seed))
    ring = torch.stack([angles.cos(), angles.sin()], 1)
    return torch.cat([ring, 2 * ring]), torch.arange(2 * count) >= count


def attacked(function: Callable[[Tensor], Tensor], points: Tensor, radii: Tensor, steps: int = 200) -> Tensor:
    """The least value of a function of each point in its L2 ball that projected gradient descent finds, ``(B,)``."""
    shape = (-1, *[1] * (points.dim() - 1))
    limits = radii.view(shape)
    shift, least = torch.zeros_like(points), torch.full((len(points),), math.inf)
    for step in range(steps):
        shift.requires_grad_()
        values = function(points + shift)
        least = torch.minimum(least, values.detach())
        (slope,) = torch.autograd.grad(values.sum(), shift)
        length = slope.flatten(1).norm(dim=1).view(shape).clamp_min(1e-12)
        moved = shift.detach() - limits * max(0.02, 0.5 * 0.98**step) * slope / length
        norms = moved.flatten(1).norm(dim=1).view(shape)
        shift = moved * (limits / norms.clamp_min(1e-12)).clamp_max(1)
    return torch.minimum(least, function(points + shift).detach())
