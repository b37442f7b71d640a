"""How accuracy falls with the radius that is asked for: a curve for TensorBoard after each validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

POINTS = 60
LEAST, MOST = 1e-3, 10.0  # radii of the curve, in L2 of pixels in [0, 1]

RADII = [0.0, *torch.logspace(-3, 1, POINTS, dtype=torch.float64).tolist()]


def certified_curve(curves: Mapping[str, Tensor], marked: Sequence[float], radii: Sequence[float] = RADII) -> Figure:
    """Certified accuracy over the radius, one curve for each set of samples.

    Args:
        curves: Certified accuracy at each radius ``(n,)``, by the names of sets.
        marked: Radii at which a line is drawn.
        radii: The radii, ascending; 0 is not on the logarithmic axis.
    """
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    for radius in marked:
        axes.axvline(radius, color="0.85", linewidth=1)
    for name, curve in curves.items():
        axes.plot(radii[1:], curve.tolist()[1:], label=f"{name}, {float(curve[0]):.1%} without a radius")
    axes.set_xscale("log")
    axes.set(xlabel="radius, L2 of pixels in [0, 1]", ylabel="certified accuracy", ylim=(0, 1), xlim=(LEAST, MOST))
    axes.legend(loc="upper right", fontsize="small")
    return figure


def log_figure(module: Any, tag: str, figure: Figure) -> None:
    """Give a figure to the loggers of a module's Trainer that take figures, on the first process."""
    for logger in module.trainer.loggers if module.trainer.is_global_zero else ():
        add = getattr(getattr(logger, "experiment", None), "add_figure", None)
        if add is not None:
            add(tag, figure, module.trainer.global_step)
