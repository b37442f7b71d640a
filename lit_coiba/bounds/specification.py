"""The adversarial overlap: how far what is set against a target may rise above it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from lit_coiba.bounds.box import Box
from lit_coiba.bounds.crown import Bound, upper_bounds
from lit_coiba.bounds.graph import Program
from lit_coiba.core.targets import Resolved

Form = Literal["margin", "independent"]


def specification(targets: Resolved, form: Form = "margin", rival: int | None = None) -> tuple[Tensor, Tensor]:
    """Linear functions ``C out + d`` of the output whose upper bounds make the overlap, ``(N, R, K)`` and ``(N, R)``.

    ``margin``: the target's own; of a class c a row ``e_c' - e_c`` for each other class c'. ``independent``: a row
    ``e_c'`` for each, then ``-e_c``.

    Args:
        targets: N rows; of a model with two classes or more.
        form: Form of the rows; all but ``margin`` are for classes.
        rival: The only other class c', which is not among the targets' classes; None = all others.

    Raises:
        InputError: The target is not linear in the output, or no class where one is needed.

    Example:
        >>> from lit_coiba.core.targets import Class
        >>> specification(Class(1).resolve(torch.zeros(1, 3)))[0].int()
        tensor([[[ 1, -1,  0],
                 [ 0, -1,  1]]], dtype=torch.int32)
    """
    rows, offsets = targets.linear()
    if form == "margin" and rival is None:
        return rows, offsets
    own = one_hot(targets.classes(f"The form {form}"), rows.shape[-1]).to(rows).unsqueeze(1)
    others = rows + own
    if rival is not None:
        others = torch.eye(rows.shape[-1]).to(rows)[rival].expand_as(own)
    rows = others - own if form == "margin" else torch.cat([others, -own], 1)
    return rows, offsets.new_zeros(rows.shape[:2])


def overlap(
    program: Program,
    box: Box,
    targets: Resolved,
    bound: Bound = "crown_ibp",
    form: Form = "margin",
    rival: int | None = None,
) -> Tensor:
    """Upper bound over each box of how far the target is overturned, ``(N,)``.

    Of a class c, ``max over c' of (logit c' - logit c)``; arguments as in `specification`.
    """
    rows, offsets = (part.to(box.lower.dtype) for part in specification(targets, form, rival))
    bounds = upper_bounds(program, box, rows, bound) + offsets
    return bounds.amax(1) if form == "margin" else bounds[:, :-1].amax(1) + bounds[:, -1]


def margin(out: Tensor, targets: Resolved, rival: int | None = None) -> Tensor:
    """What `overlap` is of a single point, with the output ``(N, K)``: ``(N,)``."""
    found = []
    for row, point in enumerate(out):  # one by one, since the rows of a thousand classes have a million numbers
        rows, offsets = specification(targets.take(slice(row, row + 1)), "margin", rival)
        found.append((rows[0].to(out) @ point + offsets[0].to(out)).amax())
    return torch.stack(found)
