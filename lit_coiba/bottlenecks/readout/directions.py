"""The direction of a target in a model's classifier: what tells a readout which class to look for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lit_coiba.core.errors import InputError
from lit_coiba.core.network import Network
from lit_coiba.core.printable import a_kind
from lit_coiba.core.targets import Resolved
from lit_coiba.functional import precise


def classifier_rows(model: Any, num_classes: int) -> Tensor:
    """A direction for each class, ``(K, D)``: rows of the last linear layer with K outputs, else unit vectors.

    Args:
        model: The model.
        num_classes: K.
    """
    modules = model.modules() if isinstance(model, nn.Module) else ()
    linear = [part for part in modules if isinstance(part, nn.Linear) and part.out_features == num_classes]
    return linear[-1].weight.detach() if linear else torch.eye(num_classes)


def target_directions(model: Network, logits: Tensor, targets: Resolved) -> Tensor:
    """Directions of targets, ``(R, D)`` in fp32 at least, of length 1.

    A class has its row in the classifier, a contrast the difference of two rows; any other score that is a function of
    the logits has the sum of rows that its gradient at `logits` weights.

    Args:
        model: The model.
        logits: ``(R, K)``, those of each row's image.
        targets: R rows.

    Raises:
        InputError: The score is no differentiable function of logits.
    """
    if not isinstance(logits, Tensor) or logits.dim() != 2:
        raise InputError(
            f"the model returns {a_kind(logits)}, and a readout takes targets of logits (B, K): give a model that"
            " returns logits, or take CoIBA"
        )
    if not targets.differentiable:
        raise InputError("the target's score has no gradient, so it has no direction that a readout knows: take RISE")
    with torch.enable_grad():
        leaf = precise(logits.detach()).requires_grad_(True)
        (slope,) = torch.autograd.grad(targets.score(leaf).sum(), leaf)
    rows = classifier_rows(model, logits.shape[1]).to(leaf)
    return nn.functional.normalize(slope @ rows, dim=-1)
