"""How far the saliency of a model is from where people look, at several scales.

Fel et al., Harmonizing the object recognition strategies of deep neural networks with humans, NeurIPS 2022 (arXiv
2211.04533), as in its public code: mean squared errors of the levels, where the paper writes norms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.functional.pyramid import gaussian_pyramid

Saliency = Literal["signed", "absolute", "margin"]
SALIENCIES = get_args(Saliency)

SPREAD, PEAK = 1e-5, 1e-6  # added to the standard deviation of a map, and to its peak


def harmonization_loss(saliency: Tensor, importance: Tensor, mapped: Tensor, levels: int = 5) -> Tensor:
    """Mean squared difference of two standardized maps over the levels of a Gaussian pyramid, a scalar.

    Both maps are standardized and cut off at 0; the human one is scaled to the peak of the model's, through which no
    gradient flows. Images without a human map count as 0, and stay in the denominator.

    Args:
        saliency: Gradient of the model ``(B, H, W)``, signed.
        importance: Where people say the evidence is ``(B, H, W)``; of any scale.
        mapped: Which images have such a map ``(B,)``, bool, or their weights from 0 to 1.
        levels: Number of levels of the pyramid.

    Raises:
        InputError: The shapes differ.

    Example:
        >>> map = torch.arange(16.0).view(1, 4, 4)
        >>> harmonization_loss(map, 3 * map + 2, torch.tensor([True]), levels=2).item() < 1e-6
        True
    """
    if saliency.dim() != 3 or saliency.shape != importance.shape or mapped.shape != saliency.shape[:1]:
        raise InputError(
            f"harmonization compares maps (B, H, W) of one size and has a flag for each image, but saliency is"
            f" {tuple(saliency.shape)}, importance {tuple(importance.shape)} and mapped {tuple(mapped.shape)}: resize"
            " the maps to the images"
        )
    weights = mapped.to(saliency)
    its, theirs = standardized(saliency), standardized(torch.where(mapped[:, None, None] > 0, importance, 0))
    peaks = its.detach().amax((1, 2), keepdim=True) + PEAK
    theirs = theirs / (theirs.amax((1, 2), keepdim=True) + PEAK) * peaks
    pyramid = gaussian_pyramid(its - theirs, levels)  # which is linear
    return torch.stack([(weights * level.square().mean((1, 2))).mean() for level in pyramid]).mean()


def standardized(maps: Tensor) -> Tensor:
    """Maps ``(B, H, W)`` less their mean, over their standard deviation, and cut off at 0.

    Example:
        >>> standardized(torch.tensor([[[1.0, 3.0]]]))
        tensor([[[0.0000, 1.0000]]])
    """
    centered = maps - maps.mean((1, 2), keepdim=True)
    return (centered / (maps.std((1, 2), keepdim=True, correction=0) + SPREAD)).relu()


def training_saliency(
    logits: Tensor, images: Tensor, targets: Tensor, kind: Saliency = "signed", create_graph: bool = True
) -> Tensor:
    """Gradient of the target's logit with respect to the images, as harmonization trains it ``(B, H, W)``.

    It is not what alignment is measured with: that is `evaluation_saliency`.

    Args:
        logits: Logits ``(B, K)`` of `images`, with their graph.
        images: The images ``(B, C, H, W)``, which require a gradient.
        targets: Classes ``(B,)`` or probabilities ``(B, K)``.
        kind: ``signed`` = mean over the channels, as in the public code; ``absolute`` = mean of the absolute values;
            ``margin`` = the signed one of the target's logit less the largest other one.
        create_graph: Whether the gradient can be differentiated again.

    Raises:
        InputError: There is no such kind.
    """
    check_choice(kind, Saliency, "saliency")
    chosen = _weights(logits, targets)
    scores = (chosen * logits).sum(1)
    if kind == "margin":
        scores = scores - logits.masked_fill(chosen > 0, -torch.inf).amax(1)
    (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=create_graph)
    return (gradient.abs() if kind == "absolute" else gradient).mean(1)


def evaluation_saliency(forward: Callable[[Tensor], Tensor], images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and the largest absolute gradient over the channels ``(B, H, W)``, by which alignment is measured.

    Works within `torch.no_grad` and inference mode too.

    Args:
        forward: From images to logits ``(B, K)``.
        images: Images ``(B, C, H, W)``.
        targets: Classes ``(B,)`` or probabilities ``(B, K)``.
    """
    with torch.inference_mode(False), torch.enable_grad():
        own = images.clone().requires_grad_()
        logits = forward(own)
        (gradient,) = torch.autograd.grad(target_logit(logits, targets.clone()).sum(), own)
    return logits.detach(), gradient.abs().amax(1)


def target_logit(logits: Tensor, targets: Tensor) -> Tensor:
    """The logit of each image's class ``(B,)``; of targets that are probabilities the mean.

    Example:
        >>> target_logit(torch.tensor([[1.0, 3.0], [5.0, 7.0]]), torch.tensor([1, 0]))
        tensor([3., 5.])
    """
    return (_weights(logits, targets) * logits).sum(1)


def _weights(logits: Tensor, targets: Tensor) -> Tensor:
    """Targets as weights of the logits ``(B, K)``."""
    if targets.dim() == 2:
        return targets.to(logits)
    return torch.zeros_like(logits).scatter_(1, targets[:, None], 1.0)
