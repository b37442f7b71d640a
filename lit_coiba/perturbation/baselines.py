"""What stands for "nothing there": images that an explanation compares with, and gradients on the way from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from lit_coiba.core.batched_evaluator import BatchedEvaluator
from lit_coiba.core.errors import check_choice
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved
from lit_coiba.functional import blur_images, noise, uniform

Baseline = Literal["zero", "black", "mean", "blur", "noise", "uniform", "opposite"]

NOISE = 0.2  # standard deviation of `noise`, as a share of the range of a pixel
BLUR = 1 / 16  # standard deviation of `blur`, as a share of the shorter side


def baseline_images(kind: Baseline, images: Tensor, model: Network, seed: int = 0) -> Tensor:
    """Baselines ``(B, 3, H, W)`` of normalised images ``(B, 3, H, W)``.

    Args:
        kind: ``zero`` = zeros of model input, the mean colour of the training data; ``black``; ``mean`` = the image's
            own mean colour; ``blur``; ``noise`` = the image with Gaussian noise, in the range of pixels; ``uniform`` =
            random pixels; ``opposite`` = black or white, whichever is farther, for every colour value.
        images: What is explained.
        model: Its normalisation tells what black is.
        seed: Seed of the noise, which all images share.

    Raises:
        InputError: No such kind.
    """
    check_choice(kind, Baseline, "baseline")
    if kind == "zero":
        return torch.zeros_like(images)
    if kind == "mean":
        return images.mean((-2, -1), keepdim=True).expand_as(images).contiguous()
    if kind == "blur":
        sigma = max(1.0, BLUR * min(images.shape[-2:]))
        return blur_images(images, "gaussian", 2 * round(2 * sigma) + 1, sigma)
    pixels = model.preprocessing.denormalize(images)
    if kind == "black":
        pixels = torch.zeros_like(pixels)
    elif kind == "opposite":
        pixels = (pixels < 0.5).to(pixels)
    else:
        normal = noise(seed, 0, 0, images.shape[1:]).to(pixels)
        pixels = (pixels + NOISE * normal).clamp(0, 1) if kind == "noise" else uniform(normal).expand_as(pixels)
    return model.preprocessing.normalize(pixels)


def cast(model: Network, images: Tensor) -> Callable[[Tensor], Tensor]:
    """The model on points of a finer precision than that of `images`, which is the one that it takes.

    Steps and shifts of a search can be smaller than what bf16 tells apart.
    """
    return lambda points: model(points.to(images.dtype))


def path_attribution(
    network: Callable[[Tensor], Tensor],
    images: Tensor,
    baselines: Tensor,
    targets: Resolved,
    weights: Sequence[float],
    shares: Sequence[float],
    evaluator: BatchedEvaluator,
) -> Tensor:
    """Image minus baseline, times the weighted sum of the gradients between them: ``(B, 3, H, W)``.

    Args:
        network: The model on points ``(N, 3, H, W)`` as precise as `images`; see `cast`.
        images: ``(B, 3, H, W)``, in fp32 at least.
        baselines: Where the paths start, ``(B, 3, H, W)``, as precise.
        targets: A row for each image.
        weights: Weights of the points of a path.
        shares: How far along the path they lie, from 0 to 1.
        evaluator: Decides how many points run at once.
    """
    way = images - baselines

    def slopes(some: slice, rows: slice) -> Tensor:
        """Weighted sum of the gradients at some points of the paths of some images."""
        weight, share = (images.new_tensor(part[some]).view(-1, 1, 1, 1, 1) for part in (weights, shares))
        points = (baselines[rows] + share * way[rows]).flatten(0, 1).requires_grad_()
        scores = targets.take(rows).repeat(len(share)).score(network(points))
        gradients = torch.autograd.grad(scores.sum(), points)[0].unflatten(0, (len(share), -1))
        return (weight * gradients).sum(0)

    return way * evaluator.accumulate(images, len(shares), slopes)
