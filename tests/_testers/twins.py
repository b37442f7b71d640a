"""Slow twins of CoIBA and IBA, written from the papers' equations: image by image, ten full passes of the plain model.

Nothing here is shared with the package: hooks on the named modules replace activations, the information is built unit
by unit and differentiated by autograd, every pass is run, and torch's Adam moves the logits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy


class Place(NamedTuple):
    """A module with a bottleneck, where its channels and its places are, and the noise that replaces it."""

    name: str
    layout: str  # tokens (T, C), channels_first (C, h, w), channels_last (h, w, C)
    size: tuple[int, int]  # h, w
    num_prefix_tokens: int  # tokens before the places
    mean: Tensor
    std: Tensor  # without a lower bound
    noise: Callable[[int], Tensor]  # step -> (copies, *activation)


@dataclass
class Settings:
    """Settings of both methods; the defaults are the papers', except for beta, which differs."""

    beta: float = 1.0
    copies: int = 10
    steps: int = 10
    lr: float = 1.0
    alpha_init: float = 5.0
    min_std: float = 0.01
    information: str = "first"  # CoIBA
    smoothing: float = 1.0  # IBA
    relu: bool = False  # IBA


def kl(ratio: Tensor, standardised: Tensor) -> Tensor:
    """Divergence of N(ratio r + (1 - ratio) mu, ((1 - ratio) s)^2) from N(mu, s^2), per unit, in nats, as printed."""
    left = 1 - ratio
    return -0.5 * (1 + torch.log(left**2) - ratio**2 * standardised**2 - left**2)


class SlowCoIBA:
    """One ratio per position of the first place, shared by all places."""

    def __init__(self, model: nn.Module, places: list[Place], **settings: Any) -> None:
        self.model, self.places, self.settings = model, places, Settings(**settings)

    def start(self, image: Tensor) -> Tensor:
        first = self.places[0]
        return image.new_full((first.num_prefix_tokens + math.prod(first.size),), self.settings.alpha_init)

    def information(self, image: Tensor, target: Tensor, alpha: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Loss of a full pass, and the information of the first place per unit, ``(copies, *activation)``."""
        terms: dict[int, Tensor] = {}

        def edit(i: int, activation: Tensor) -> Tensor:
            place = self.places[i]
            mean, std = place.mean.to(activation), place.std.to(activation).clamp(min=self.settings.min_std)
            ratio = shaped(resampled(torch.sigmoid(alpha), self.places[0], place), place)
            terms[i] = kl(ratio, (activation - mean) / std)
            return ratio * activation + (1 - ratio) * (mean + std * place.noise(step).to(activation))

        entropy = noised_cross_entropy(self.model, self.places, edit, image, target, self.settings.copies)
        counted = [terms[0]] if self.settings.information == "first" else list(terms.values())
        return entropy + self.settings.beta * sum(term.mean() for term in counted) / len(counted), terms[0]

    def maps(self, images: Tensor, targets: Tensor) -> Tensor:
        """Bits per place, ``(B, h, w)``."""
        return maps_of(self, self.places[0], images, targets)


class SlowIBA:
    """One ratio per unit of one place; `active` is 1 for units that may pass, of the activation's shape."""

    def __init__(self, model: nn.Module, place: Place, active: Tensor, **settings: Any) -> None:
        self.model, self.place, self.active = model, place, active
        self.settings = Settings(**{"beta": 10.0, **settings})

    def start(self, image: Tensor) -> Tensor:
        return torch.full_like(self.place.mean.to(image), self.settings.alpha_init)

    def information(self, image: Tensor, target: Tensor, alpha: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Loss of a full pass, and the information per unit, ``(copies, *activation)``."""
        settings, place = self.settings, self.place
        mean, std = place.mean.to(image), place.std.to(image).clamp(min=settings.min_std)
        ratio = torch.sigmoid(alpha)
        ratio = smoothed(ratio, place, settings.smoothing) if settings.smoothing else ratio
        terms: dict[int, Tensor] = {}

        def edit(i: int, activation: Tensor) -> Tensor:
            terms[i] = kl(ratio, (activation - mean) / std) * self.active.to(image)
            noised = ratio * activation + (1 - ratio) * (mean + std * place.noise(step).to(image))
            noised = noised * self.active.to(image)
            return noised.clamp(min=0) if settings.relu else noised

        entropy = noised_cross_entropy(self.model, [place], edit, image, target, settings.copies)
        return entropy + settings.beta * terms[0].mean(), terms[0]

    def maps(self, images: Tensor, targets: Tensor) -> Tensor:
        """Bits per place, ``(B, h, w)``."""
        return maps_of(self, self.place, images, targets)


def maps_of(twin: SlowCoIBA | SlowIBA, place: Place, images: Tensor, targets: Tensor) -> Tensor:
    """Image by image: `steps` passes and updates by Adam, the map from the information of the last pass."""
    found = []
    for image, target in zip(images, targets):
        alpha = twin.start(image).requires_grad_(True)
        optimiser = torch.optim.Adam([alpha], lr=twin.settings.lr)
        for step in range(twin.settings.steps):
            loss, nats = twin.information(image, target, alpha, step)
            (alpha.grad,) = torch.autograd.grad(loss, alpha)
            optimiser.step()
        bits = nats.detach().mean(0).nansum(-3 if place.layout == "channels_first" else -1) / math.log(2)
        found.append(bits.flatten()[place.num_prefix_tokens :].reshape(place.size))
    return torch.stack(found)


def noised_cross_entropy(
    model: nn.Module,
    places: list[Place],
    edit: Callable[[int, Tensor], Tensor],
    image: Tensor,
    target: Tensor,
    copies: int,
) -> Tensor:
    """Mean cross-entropy of a full pass with ``edit(index, activation)`` in place of the output of every place."""
    with replaced(model, places, edit):
        return cross_entropy(model(image.unsqueeze(0).repeat(copies, 1, 1, 1)), target.repeat(copies))


@contextmanager
def replaced(model, places, edit):
    handles = [
        model.get_submodule(place.name).register_forward_hook(lambda m, a, output, i=i: edit(i, output))
        for i, place in enumerate(places)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def shaped(ratio: Tensor, place: Place) -> Tensor:
    """One number per position so that it multiplies an activation of `place`."""
    if place.layout == "tokens":
        return ratio[:, None]
    plane = ratio.reshape(place.size)
    return plane[None] if place.layout == "channels_first" else plane[:, :, None]


def resampled(ratio: Tensor, first: Place, place: Place) -> Tensor:
    """A ratio per position of `first` on the grid of `place`; prefix positions keep theirs."""
    if place.size == first.size:
        return ratio
    rows, columns = (triangle_filter(there, here).to(ratio) for there, here in zip(place.size, first.size))
    plane = rows @ ratio[first.num_prefix_tokens :].reshape(first.size) @ columns.T
    return torch.cat([ratio[: first.num_prefix_tokens], plane.flatten()])


def triangle_filter(there: int, here: int) -> Tensor:
    """Weights ``(there, here)`` of anti-aliased linear interpolation: a triangle as wide as the coarser cells."""
    weights = torch.zeros(there, here, dtype=torch.float64)
    step = here / there
    for i in range(there):
        for j in range(here):
            weights[i, j] = max(0.0, 1 - abs(j + 0.5 - (i + 0.5) * step) / max(step, 1.0))
    return weights / weights.sum(1, keepdim=True)


def smoothed(ratio: Tensor, place: Place, sigma: float) -> Tensor:
    """Every channel's plane under a Gaussian, borders reflected; prefix tokens stay."""
    rows, columns = (gaussian_matrix(cells, sigma).to(ratio) for cells in place.size)
    if place.layout == "channels_first":
        return rows @ ratio @ columns.T
    planes = ratio[place.num_prefix_tokens :].reshape(*place.size, -1) if place.layout == "tokens" else ratio
    planes = torch.einsum("ij,jkc,lk->ilc", rows, planes, columns)
    return torch.cat([ratio[: place.num_prefix_tokens], planes.flatten(0, 1)]) if place.layout == "tokens" else planes


def gaussian_matrix(cells: int, sigma: float) -> Tensor:
    """``(cells, cells)``: what every cell takes from every other, the kernel folded back at both ends."""
    reach = round(2 * sigma)
    weights = [math.exp(-(d**2) / (2 * sigma**2)) for d in range(-reach, reach + 1)]
    matrix = torch.zeros(cells, cells, dtype=torch.float64)
    for i in range(cells):
        for d, weight in zip(range(-reach, reach + 1), weights):
            j = abs(i + d)
            j = 2 * (cells - 1) - j if j > cells - 1 else j
            matrix[i, j] += weight / sum(weights)
    return matrix
