"""Interval bound propagation: a box through a network, step by step.

Gowal et al., "On the Effectiveness of Interval Bound Propagation for Training Verifiably Robust Models", 2018 (arXiv
1810.12715).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from lit_coiba.bounds.box import Box
from lit_coiba.bounds.graph import Program

Tighten = Callable[[str, Box, "Ranges"], Box]


class Ranges(NamedTuple):
    """Boxes and shapes of a network's activations for the points of the start box."""

    boxes: dict[str, Box]  # of the start, of what steps that are not affine read, of the frontier, and of the output
    shapes: dict[str, tuple[int, ...]]  # of every activation, without N


def propagate(program: Program, box: Box, tighten: Tighten | None = None) -> Ranges:
    """Boxes that contain the activations of all points of `box`.

    Args:
        program: The network.
        box: N boxes of its start, ``(N, ...)``.
        tighten: Function of the name and the box of an activation that a step which is not affine reads, and of what
            is known so far, which returns a box within that box.
    """
    kept = {program.start, program.output} | program.frontier()
    kept.update(name for step in program.steps if not step.operation.affine for name in step.inputs)
    waiting = Counter(name for step in program.steps for name in step.inputs)
    boxes, known = {program.start: box}, Ranges({program.start: box}, {program.start: tuple(box.lower.shape[1:])})
    for step in program.steps:
        if tighten is not None and not step.operation.affine:
            for name in step.inputs:
                boxes[name] = known.boxes[name] = tighten(name, boxes[name], known)
        found = _ordered(step.operation.forward(*(boxes[name] for name in step.inputs)))
        boxes[step.output] = found
        known.shapes[step.output] = tuple(found.lower.shape[1:])
        if step.output in kept:
            known.boxes[step.output] = found
        waiting.subtract(step.inputs)
        for name in set(step.inputs):
            if not waiting[name]:
                del boxes[name]
    return known


def _ordered(box: Box) -> Box:
    """Rounding of a radius near zero must not put the lower corner above the upper one."""
    return Box(box.lower, box.upper.maximum(box.lower))
