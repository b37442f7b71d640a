"""Linear bounds, carried backwards through a network (CROWN), and the three ways to bound linear functions of logits.

Zhang, Weng, Chen, Hsieh and Daniel, "Efficient Neural Network Robustness Certification with General Activation
Functions", 2018 (arXiv 1811.00866); CROWN-IBP: Zhang et al., 2019 (arXiv 1906.06316). Beyond their chains of layers,
rows pass through sums of branches, norms, and average and max pooling.
"""

from __future__ import annotations

from math import prod
from typing import Literal

import torch
from torch import Tensor

from lit_coiba.bounds.box import Box
from lit_coiba.bounds.graph import Program
from lit_coiba.bounds.ibp import Ranges, Tighten, propagate

Bound = Literal["ibp", "crown_ibp", "crown"]

ENTRIES = 2**24  # of the largest tensor of coefficients; more rows are carried in turn


def upper_bounds(program: Program, box: Box, rows: Tensor, bound: Bound = "crown_ibp") -> Tensor:
    """Upper bounds of linear functions of the output over a box, ``(N, R)``.

    ``ibp`` merges the rows with the affine steps at the end of the network. ``crown_ibp`` and ``crown`` carry them back
    to the start; where that is looser than ``ibp`` for a row, they return its bound. They differ in the boxes of the
    activations in between: by interval arithmetic, or by carrying one row for each entry, which is for small networks.

    Args:
        program: The network.
        box: N boxes of its start.
        rows: Coefficients of the outputs, ``(N, R, K)``.
        bound: Which of the three ways.
    """
    known = propagate(program, box, _tighten(program) if bound == "crown" else None)
    merged = _in_pieces(program, rows, known, program.frontier())
    if bound == "ibp":
        return merged
    return torch.minimum(merged, _in_pieces(program, rows, known, {program.start}))


def carry_back(program: Program, rows: Tensor, known: Ranges, stop: set[str]) -> Tensor:
    """Upper bounds of ``rows . output``, with the rows carried back to the activations `stop`: ``(N, R)``."""
    open_rows, total = {program.output: rows}, rows.new_zeros(rows.shape[:2])
    for step in reversed(program.steps):
        if step.output in stop or step.output not in open_rows:
            continue
        affine = step.operation.affine
        inputs = [] if affine else [known.boxes[name] for name in step.inputs]
        shapes = [known.shapes[name] for name in step.inputs]
        parts, offset = step.operation.backward(open_rows.pop(step.output), inputs, shapes)
        for name, part in zip(step.inputs, parts):
            open_rows[name] = open_rows[name] + part if name in open_rows else part
        if offset is not None:
            total = total + offset
    for name, part in open_rows.items():
        total = total + known.boxes[name].highest(part)
    return total


def _in_pieces(program: Program, rows: Tensor, known: Ranges, stop: set[str]) -> Tensor:
    size = _rows_at_once(program, known, len(rows))
    return torch.cat([carry_back(program, part, known, stop) for part in rows.split(size, 1)], 1)


def _rows_at_once(program: Program, known: Ranges, count: int) -> int:
    largest = max(prod(known.shapes[name]) for name in {program.start, *(step.output for step in program.steps)})
    return max(1, ENTRIES // (count * largest))


def _tighten(program: Program) -> Tighten:
    """A function that tightens the box of an activation by carrying back two rows for each of its entries."""

    def tighten(name: str, box: Box, known: Ranges) -> Box:
        part = program.until(name)
        if not part.steps:
            return box
        count, entries = len(box.lower), prod(box.lower.shape[1:])
        size = _rows_at_once(part, known, count)
        ends = []
        for sign in (-1, 1):
            pieces = []
            for start in range(0, entries, size):
                numbers = torch.arange(start, min(start + size, entries), device=box.lower.device)
                rows = box.lower.new_zeros(len(numbers), entries).scatter_(1, numbers.unsqueeze(1), sign)
                rows = rows.view(1, len(numbers), *box.lower.shape[1:]).expand(count, *[-1] * box.lower.dim())
                pieces.append(sign * carry_back(part, rows, known, {program.start}))
            ends.append(torch.cat(pieces, 1).view_as(box.lower))
        return box.intersect(Box(*ends))

    return tighten
