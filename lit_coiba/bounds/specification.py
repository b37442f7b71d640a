"""The adversarial overlap: how far other logits may rise above that of a class."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from lit_coiba.bounds.box import Box
from lit_coiba.bounds.crown import Bound, upper_bounds
from lit_coiba.bounds.graph import Program

Form = Literal["margin", "independent"]


def specification(classes: Tensor, num_classes: int, form: Form = "margin", rival: int | None = None) -> Tensor:
    """Linear functions of the logits whose upper bounds make the overlap, ``(N, R, K)``.

    ``margin``: a row ``e_c' - e_c`` for each other class c'. ``independent``: a row ``e_c'`` for each, then ``-e_c``.

    Args:
        classes: c, ``(N,)``.
        num_classes: K, at least 2.
        form: Which.
        rival: The only c', which is none of `classes`; None = all others.

    Example:
        >>> specification(torch.tensor([1]), 3).int()
        tensor([[[ 1, -1,  0],
                 [ 0, -1,  1]]], dtype=torch.int32)
    """
    unit = torch.eye(num_classes, device=classes.device)
    if rival is None:
        numbers = torch.arange(num_classes - 1, device=classes.device).expand(len(classes), -1)
        others = numbers + (numbers >= classes.unsqueeze(1))
    else:
        others = classes.new_full((len(classes), 1), rival)
    own = unit[classes].unsqueeze(1)
    return unit[others] - own if form == "margin" else torch.cat([unit[others], -own], 1)


def overlap(
    program: Program,
    box: Box,
    classes: Tensor,
    num_classes: int,
    bound: Bound = "crown_ibp",
    form: Form = "margin",
    rival: int | None = None,
) -> Tensor:
    """Upper bound of ``max over c' of (logit c' - logit c)`` over each box, ``(N,)``."""
    rows = specification(classes, num_classes, form, rival).to(box.lower.dtype)
    bounds = upper_bounds(program, box, rows, bound)
    return bounds.amax(1) if form == "margin" else bounds[:, :-1].amax(1) + bounds[:, -1]
