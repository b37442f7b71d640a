"""Verified bounds of a network's outputs over boxes of inputs."""

from lit_coiba.bounds.box import Box
from lit_coiba.bounds.crown import Bound, upper_bounds
from lit_coiba.bounds.graph import Program, trace
from lit_coiba.bounds.ibp import Ranges, propagate
from lit_coiba.bounds.specification import Form, margin, overlap, specification

__all__ = [
    "Bound",
    "Box",
    "Form",
    "Program",
    "Ranges",
    "margin",
    "overlap",
    "propagate",
    "specification",
    "trace",
    "upper_bounds",
]
