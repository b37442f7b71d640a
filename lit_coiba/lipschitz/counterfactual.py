"""The nearest image of another class, in closed form: one step along the gradient, as far as the boundary is away.

Serrurier et al., On the explainable properties of 1-Lipschitz neural networks, 2023 (arXiv 2206.06854): at the optimum
of HKR the gradient has norm 1 and points along the transport to the other class, so that ``x - f(x) grad f(x)`` lies on
the boundary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.lipschitz.certificate import Certificate


def boundary_step(f: Callable[[Tensor], Tensor], points: Tensor, reach: float = 1.0) -> Tensor:
    """``x - reach f(x) grad f(x)``, of the shape of `points`.

    Args:
        f: A 1-Lipschitz function with one value for each point, ``(B, ...)`` -> ``(B,)``.
        points: x, ``(B, ...)``.
        reach: Factor on the step; 1 = to the boundary, 2 = as far on the other side.

    Example:
        >>> boundary_step(lambda x: x[:, 0] - 1, torch.tensor([[3.0, 5.0]]))
        tensor([[1., 5.]])
    """
    with torch.inference_mode(False), torch.enable_grad():
        given = points.detach().clone().requires_grad_()
        values = f(given)
        (gradient,) = torch.autograd.grad(values.sum(), given)
    return points - reach * values.detach().view(-1, *[1] * (points.dim() - 1)) * gradient


def counterfactual(backbone: Any, images: Tensor, classes: Tensor | None = None, reach: float = 1.0) -> Tensor:
    """Images on the boundary between the predicted class and another one, ``(B, 3, H, W)`` as model input.

    `boundary_step` takes the gradient of the margin ``f_y - f_k``, divided by its Lipschitz constant in pixels, so that
    the step is in pixels whatever the preprocessing is. Pixels are not clamped to [0, 1].

    Args:
        backbone: A 1-Lipschitz `Backbone`.
        images: Model input ``(B, 3, H, W)``.
        classes: The other class k of each image ``(B,)``; None = the second largest logit. Of a network with one logit
            it is not used: the boundary is where the logit is 0.
        reach: Factor on the step; see `boundary_step`.

    Raises:
        InputError: The network is not 1-Lipschitz, or a class is the predicted one.
    """
    certificate = Certificate.of(backbone)
    with torch.no_grad():
        logits = backbone(images)
    predicted = logits.argmax(1)
    if logits.shape[1] == 1:
        return _moved(backbone, images, lambda f: f[:, 0] / certificate.pixel_constant, reach)
    others = logits.topk(2, dim=1).indices[:, 1] if classes is None else classes.to(predicted)
    if bool((others == predicted).any()):
        at = int((others == predicted).nonzero()[0])
        raise InputError(f"classes names class {int(others[at])} for image {at}, which is predicted: give another one")
    constants = certificate.margin_constants(predicted, others).to(logits)
    rows = torch.arange(len(images), device=logits.device)
    return _moved(backbone, images, lambda f: (f[rows, predicted] - f[rows, others]) / constants, reach)


def _moved(backbone: Any, images: Tensor, margin: Callable[[Tensor], Tensor], reach: float) -> Tensor:
    pixels = backbone.denormalize(images)
    moved = boundary_step(lambda given: margin(backbone(backbone.normalize(given))), pixels, reach)
    return backbone.normalize(moved)
