"""Leak test: are the bottleneck layers early enough?

The residual stream goes around bottlenecks inside the branches, and tokens without a place (CLS) are in no map. With
pure noise in every bottleneck layer, predictions that survive were already written past the first of them, and a map
would explain nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from lit_coiba.bottlenecks.fitting import unchanged
from lit_coiba.bottlenecks.prior import NoisePrior, PriorSettings
from lit_coiba.bottlenecks.statistics import ActivationStatistics, LeakTest, images_of
from lit_coiba.core.errors import InputError
from lit_coiba.core.frozen import frozen
from lit_coiba.core.network import Network

SAMPLE = 256  # images kept for the test
NEAR_CHANCE = 0.05  # a start whose share of kept predictions is this close to chance is early enough
WARN_ABOVE = 0.2
DRAWS = 8  # different noise draws, used in turn by the batches


def sample_images(loader: Iterable[Any], limit: int = SAMPLE) -> tuple[list[Tensor], Iterator[Tensor]]:
    """Pass a loader through and keep about `limit` of its images, evenly spaced over all of it.

    Returns:
        A list that is filled while the second, the batches of images, is iterated; each entry is ``(1, 3, H, W)``.
    """
    kept: list[Tensor] = []

    def passed() -> Iterator[Tensor]:
        stride, position = 1, 0
        for images in images_of(loader):
            for image in images:
                if position % stride == 0:
                    kept.append(image[None].detach().to("cpu", copy=True))  # a view would keep its batch
                    if len(kept) > limit:
                        kept[:] = kept[::2]
                        stride *= 2
                position += 1
            yield images

    return kept, passed()


def leak(
    model: Network,
    statistics: ActivationStatistics,
    layers: list[str],
    images: Iterable[Tensor],
    min_std: float,
    seed: int,
    keep_prefix: bool = False,
) -> LeakTest:
    """Share of predictions kept when every one of `layers` is replaced by noise.

    Args:
        model: The model, left as it was.
        statistics: Statistics of these layers.
        layers: Bottleneck layers, the first one named in the result.
        images: Batches ``(B, 3, H, W)``; small ones are put together in batches of at least 16.
        min_std: Lower bound of the standard deviations.
        seed: Seed of the noise.
        keep_prefix: Whether the tokens without a place stay clean: do they know the class already?

    Raises:
        InputError: There are no images, or no statistics of one of the layers.
    """
    statistics.require(layers)
    device = next((weights.device for weights in model.parameters()), torch.device("cpu"))
    clean, noised = [], []
    with frozen(model), torch.no_grad():
        split = model.split(layers)
        prior = NoisePrior(PriorSettings(statistics, tuple(split.layers), 1, min_std, False, seed))
        for number, batch in enumerate(_batches(images)):
            step = number % DRAWS

            def only_noise(index: int, activation: Tensor, step: int = step) -> Tensor:
                draw = prior.draw(step, index, activation).expand_as(activation).to(activation.dtype)
                prefix = split.grids[index].num_prefix_tokens if keep_prefix else 0
                return torch.cat([activation[:, :prefix], draw[:, prefix:]], 1) if prefix else draw

            state = split.lower(batch.to(device))
            clean.append(split.upper(state, unchanged).argmax(-1).cpu())
            noised.append(split.upper(state, only_noise).argmax(-1).cpu())
    if not clean:
        raise InputError("the leak test has no images: give some, or statistics with its result")
    before, after = torch.cat(clean), torch.cat(noised)
    kept = (before == after).double().mean().item()
    return LeakTest({split.layers[0]: kept}, _chance(before, after), len(before), tuple(split.layers))


def choose_layers(
    model: Network,
    statistics: ActivationStatistics,
    images: Iterable[Tensor],
    choices: Iterable[list[str]],
    min_std: float,
    seed: int,
    keep_prefix: bool = False,
) -> LeakTest:
    """The first of `choices` that does not leak, else the last of them, with a warning if it leaks badly.

    Args:
        model: The model, left as it was.
        statistics: Statistics of all layers in `choices`.
        images: Batches ``(B, 3, H, W)``, used once for every choice.
        choices: Bottleneck layers, each an earlier start than the one before.
        min_std: Lower bound of the standard deviations.
        seed: Seed of the noise.
        keep_prefix: Whether the tokens without a place stay clean, as in `leak`.
    """
    images = list(images)
    kept: dict[str, float] = {}
    for layers in choices:
        found = leak(model, statistics, layers, images, min_std, seed, keep_prefix)
        kept |= found.kept
        share = found.kept[found.layers[0]]
        if share <= found.chance + NEAR_CHANCE:
            break
    if share > max(WARN_ABOVE, found.chance + NEAR_CHANCE):
        first = found.layers[0]
        if keep_prefix:
            where, why = f"all patches of {first}", "its CLS token, which no map shows, already has the class there"
        else:
            where = f"all bottleneck layers from {first} on"
            why = "the class bypasses them, so maps explain little; use earlier layers, or outputs of whole blocks"
        warnings.warn(
            f"{share:.0%} of the predictions survive pure noise in {where} (chance: {found.chance:.0%}): {why}",
            stacklevel=2,
        )
    return found._replace(kept=kept)


def _chance(before: Tensor, after: Tensor) -> float:
    """Agreement of two independent predictors with the class frequencies of these predictions."""
    classes = int(torch.maximum(before.max(), after.max())) + 1
    shares = [torch.bincount(p, minlength=classes).double() / len(p) for p in (before, after)]
    return float((shares[0] * shares[1]).sum())


def _batches(images: Iterable[Tensor], size: int = 16) -> Iterator[Tensor]:
    waiting: list[Tensor] = []
    for batch in images:
        waiting.append(batch)
        if sum(map(len, waiting)) >= size:
            yield torch.cat(waiting)
            waiting = []
    if waiting:
        yield torch.cat(waiting)
