"""What the methods share that hide parts of an image and look at the score."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from lit_coiba.core.batched_evaluator import BatchedEvaluator
from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved
from lit_coiba.perturbation.baselines import Baseline, baseline_images

Perturbation = Literal["inpainting", "blur", "amplitude"]
Make = Callable[[slice, slice], Tensor]

BOX = 10  # pixels, the side of the box of `blur`, as published


def copy_scores(
    model: Network, images: Tensor, targets: Resolved, count: int, make: Make, evaluator: BatchedEvaluator
) -> Tensor:
    """Scores ``(count, B)`` of the targets for `count` copies of each image.

    Args:
        model: The model, frozen.
        images: ``(B, 3, H, W)``.
        targets: A row for each image.
        count: Copies of each image.
        make: Gives some copies of some images, ``(k, r, 3, H, W)``, for two slices.
        evaluator: Decides how many at once.
    """

    def evaluate(some: slice, rows: slice) -> Tensor:
        batch = make(some, rows)
        scores = targets.take(rows).repeat(len(batch)).score(model(batch.flatten(0, 1)))
        return scores.unflatten(0, batch.shape[:2])

    return evaluator.gather(images, count, evaluate)


def baseline_or_zeros(kind: Baseline, images: Tensor, model: Network, seed: int = 0) -> Tensor | None:
    """Baselines of all images; None stands for zeros, which cost nothing."""
    return None if kind == "zero" else baseline_images(kind, images, model, seed)


def masked(images: Tensor, masks: Tensor, baseline: Tensor | None = None) -> Tensor:
    """Every image under every mask, ``(k, r, 3, H, W)``: the image where the mask is 1, the baseline where it is 0.

    Args:
        images: ``(r, 3, H, W)``.
        masks: ``(k, H, W)`` for all images, or ``(k, r, H, W)``.
        baseline: ``(r, 3, H, W)``; None = zeros.
    """
    shown = (masks.unsqueeze(1) if masks.dim() == 3 else masks).unsqueeze(2).to(images.dtype)
    return shown * images if baseline is None else torch.lerp(baseline, images, shown)


def perturbed(images: Tensor, masks: Tensor, kind: Perturbation, strength: float = 1.0) -> Tensor:
    """Every image under every mask ``(k, H, W)`` in [0, 1], in one of the published ways: ``(k, r, 3, H, W)``.

    Args:
        images: ``(r, 3, H, W)``.
        masks: Shared by all images.
        kind: ``inpainting`` = zeros of model input show through; ``blur`` = the image's mean over boxes of 10 x 10
            pixels does; ``amplitude`` = ``x + (mask - 1/2) strength``.
        strength: Strength of ``amplitude``, in units of model input.
    """
    if kind == "amplitude":
        return images + (strength * (masks - 0.5)).to(images.dtype)[:, None, None]
    return masked(images, masks, box_blurred(images) if kind == "blur" else None)


def box_blurred(images: Tensor, side: int = BOX) -> Tensor:
    """Means over boxes of `side` pixels, borders reflected; an even box has one pixel more above and to the left."""
    before = min(side // 2, min(images.shape[-2:]) - 1)
    after = min(side - 1 - side // 2, before)
    return avg_pool2d(pad(images, (before, after, before, after), mode="reflect"), before + after + 1, 1)


def cell_masks(cells: Tensor, size: tuple[int, ...]) -> Tensor:
    """Values per cell ``(k, g * g)`` as masks ``(k, H, W)``, the nearest cell for every pixel."""
    side = round(cells.shape[-1] ** 0.5)
    return interpolate(cells.unflatten(-1, (1, side, side)), size=tuple(size), mode="nearest").squeeze(1)


def checked_perturbation(kind: Perturbation, strength: float) -> Perturbation:
    """`kind`, of which `strength` is the strength where it has one.

    Raises:
        InputError: There is no such kind, or a strength that it would not use.
    """
    check_choice(kind, Perturbation, "perturbation")
    if not 0 < abs(strength) < torch.inf:
        raise InputError(f"strength is {strength}: give a finite number of units of model input other than 0")
    if strength != 1 and kind != "amplitude":
        raise InputError(f"strength is {strength}, and perturbation {kind} has none: leave it out, or take amplitude")
    return kind
