"""Unlearning one sample, and finding the input that a model takes for the unlearned one.

Choi, Duplessis and Belongie, "Unlearning-based Neural Interpretations", ICLR 2025 (arXiv 2410.08069), steps a and b.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from lit_coiba.functional.precise import precise

Projection = Literal["ball", "sphere"]
Weights = dict[str, Tensor]

MATCHED = 1e-7  # nats: a smaller divergence is rounding
FLAT = 1e-6  # of the gradient of log p: a smaller gradient of the divergence is rounding


class Matched(NamedTuple):
    """What the search in the input found."""

    shift: Tensor  # (B, ...): the baseline minus the image
    start: Tensor  # (B,) nats: divergence at the first shift
    end: Tensor  # (B,) nats: divergence at `shift`
    log_prob: Tensor  # (B, K) at `shift`


def unlearned_logits(model: nn.Module, images: Tensor, classes: Tensor, eta: float, at_once: int = 0) -> Tensor:
    """Logits of each image under weights that took a step of length `eta` up its own cross-entropy, ``(B, K)``.

    All weights move, also those that do not require gradients, and none of `model` does: the step is taken on copies,
    one set of them at a time, or one for each of `at_once` images. The direction comes from the log-odds, of which
    the cross-entropy is an increasing function: the same, and well-defined where a softmax saturates.

    Args:
        model: In evaluation mode.
        images: ``(B, ...)``.
        classes: ``(B,)`` int64.
        eta: Length of the step, in L2 over all weights together.
        at_once: Images that run together by ``torch.func.vmap``, where it understands the model; 0, and for the other
            models, a loop over images, which is the faster way on a CPU.
    """
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}

    def of_one(moved: Weights, image: Tensor, label: Tensor) -> Tensor:
        logits: Tensor = functional_call(model, moved, (image.unsqueeze(0),))
        return against(logits, label.unsqueeze(0)).sum()

    def step(gradient: Weights) -> Weights:
        length = torch.stack([precise(g).norm() for g in gradient.values()])
        whole = length.norm()
        scale = eta / torch.where(whole > 0, whole, torch.inf)  # without a direction nothing moves, however large eta
        return {name: weights[name] + (scale * gradient[name]).to(weights[name].dtype) for name in weights}

    def mapped(image: Tensor, label: Tensor) -> Tensor:
        moved = step(grad(of_one)(weights, image, label))
        return torch.as_tensor(functional_call(model, moved, (image.unsqueeze(0),))).squeeze(0)

    def alone(image: Tensor, label: Tensor) -> Tensor:
        leaves = {name: value.detach().requires_grad_() for name, value in weights.items()}
        found = torch.autograd.grad(of_one(leaves, image, label), list(leaves.values()), materialize_grads=True)
        with torch.no_grad():
            logits: Tensor = functional_call(model, step(dict(zip(leaves, found))), (image.unsqueeze(0),))
        return logits.squeeze(0)

    if at_once:
        try:
            return vmap(mapped, chunk_size=at_once)(images, classes).detach()
        except RuntimeError as error:
            if not any(word in str(error) for word in ("vmap", "functorch", "atching rule")):
                raise
    return torch.stack([alone(image, label) for image, label in zip(images, classes)])


def against(logits: Tensor, classes: Tensor) -> Tensor:
    """Log-odds against a class, ``log((1 - p) / p)``: ``(B, K)``, ``(B,)`` -> ``(B,)``.

    Precise also where p is near 1. Its gradient is that of the cross-entropy, divided by 1 - p. A model of one class
    has no odds: 0.

    Example:
        >>> against(torch.zeros(1, 4), torch.tensor([2])).exp()
        tensor([3.])
    """
    logits = precise(logits)
    own = logits.gather(-1, classes.unsqueeze(-1))
    if logits.shape[-1] == 1:
        return (own - own).squeeze(-1)
    others = logits.scatter(-1, classes.unsqueeze(-1), -torch.inf)
    return (others - own).logsumexp(-1)


def divergence(prob: Tensor, log_prob: Tensor) -> Tensor:
    """``KL(prob || exp(log_prob))`` in nats, ``(B, K)``, ``(B, K)`` -> ``(B,)``; a class of probability 0 adds nothing.

    Example:
        >>> divergence(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.5]]).log())
        tensor([0.6931])
    """
    return (torch.xlogy(prob, prob) - prob * log_prob.clamp_min(torch.finfo(log_prob.dtype).min)).sum(-1)


def lengths(values: Tensor, norm: float) -> Tensor:
    """The `norm`-norm of each row of ``(B, ...)``, shaped to divide them."""
    return torch.linalg.vector_norm(values.flatten(1), norm, dim=1).view(-1, *[1] * (values.dim() - 1))


def unit(values: Tensor, norm: float) -> Tensor:
    """Rows of ``(B, ...)`` divided by their `norm`-norm; zeros stay zeros."""
    return values / lengths(values, norm).clamp_min(torch.finfo(values.dtype).tiny)


def project(shift: Tensor, eps: float, norm: float, projection: Projection) -> Tensor:
    """Rows of ``(B, ...)`` scaled into the ball of radius `eps`, or onto its sphere; zeros stay zeros.

    Example:
        >>> project(torch.tensor([[3.0, 4.0], [0.3, 0.4]]), 1.0, 2.0, "ball")
        tensor([[0.6000, 0.8000],
                [0.3000, 0.4000]])
    """
    if projection == "sphere":
        return eps * unit(shift, norm)
    ratio = eps / lengths(shift, norm).clamp_min(torch.finfo(shift.dtype).tiny)
    return shift * ratio.clamp_max(1)


def match(
    logits: Callable[[Tensor], Tensor],
    images: Tensor,
    prob: Tensor,
    shift: Tensor,
    *,
    steps: int,
    mu: float,
    decay: float,
    eps: float,
    norm: float,
    projection: Projection,
) -> Matched:
    """Normalised descent of ``KL(prob || p(images + shift))``; the best shift seen, the first one among them.

    Steps of fixed length do not fall monotonically, so the best is kept; they end at a distance of about `mu`, so a
    `decay` below 1 is needed to converge.

    Args:
        logits: The model, ``(B, ...)`` -> ``(B, K)``.
        images: ``(B, ...)``.
        prob: Probabilities to match, ``(B, K)``.
        shift: The first shift, ``(B, ...)``.
        steps: Number of steps; the model runs once more.
        mu: Length of the first step.
        decay: Factor of the length from one step to the next.
        eps: Radius, may be infinite for a ball.
        norm: Norm of the steps and of the radius.
        projection: ``ball`` or ``sphere``.
    """
    best, start, end, best_log_prob = shift, None, None, None
    for t in range(steps + 1):
        shift = shift.detach().requires_grad_(t < steps)
        log_prob = log_probabilities(logits(images + shift))
        cost = divergence(prob, log_prob)
        if start is None or end is None or best_log_prob is None:
            start, end, best_log_prob = cost.detach(), cost.detach(), log_prob.detach()
        lower = cost.detach() < end
        end = torch.where(lower, cost.detach(), end)
        best_log_prob = torch.where(lower.unsqueeze(-1), log_prob.detach(), best_log_prob)
        best = torch.where(lower.view(-1, *[1] * (shift.dim() - 1)), shift.detach(), best)
        if t < steps:
            (gradient,) = torch.autograd.grad(cost.sum(), shift)
            length = mu * decay**t
            shift = project(shift.detach() - length * unit(gradient, norm), eps, norm, projection)
    assert start is not None
    assert end is not None
    assert best_log_prob is not None
    return Matched(best, start, end, best_log_prob)


def log_probabilities(logits: Tensor) -> Tensor:
    """``log softmax``, in fp32 at least."""
    return precise(logits).log_softmax(-1)
