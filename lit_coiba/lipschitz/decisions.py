"""How much of what a network decides is certified, in numbers and in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import ROUND_DOWN, Context
from statistics import median
from typing import NamedTuple

EPSILON = 36 / 255  # the radius that papers ask for first, in L2 of pixels in [0, 1]
USUAL = (EPSILON, 72 / 255, 108 / 255, 1.0)  # all that they ask for
UNIT = "L2, pixels from 0 to 1"


class CertifiedDecisions(NamedTuple):
    """Decisions that have a radius, summed up."""

    total: int
    median: float  # radius
    shares: tuple[float, ...]  # part of them with a radius above each of `USUAL`
    labelled: int  # those whose label is known
    accuracies: tuple[float, ...]  # part of these that is right with a radius above each of `USUAL`; empty = no labels


def certified_decisions(radii: Sequence[float], right: Sequence[bool | None]) -> CertifiedDecisions | None:
    """Sum up decisions; None where there is none.

    The accuracy is ``mean(right and r > eps)``, the verified robust accuracy of Serrurier et al., HKR, 2021 (arXiv
    2006.06520).

    Args:
        radii: Certified radius of each decision.
        right: Whether it is right; None = not known.

    Example:
        >>> found = certified_decisions([0.1, 0.2, 0.3, 0.4], [True, True, False, None])
        >>> found.median, found.shares[0], found.labelled, found.accuracies[:2]
        (0.25, 0.75, 3, (0.3333333333333333, 0.0))
    """
    if not len(radii):
        return None
    known = [(radius, hit) for radius, hit in zip(radii, right) if hit is not None]
    return CertifiedDecisions(
        len(radii),
        float(median(radii)),
        tuple(sum(radius > asked for radius in radii) / len(radii) for asked in USUAL),
        len(known),
        tuple(sum(hit and radius > asked for radius, hit in known) / len(known) for asked in USUAL) if known else (),
    )


def told(found: CertifiedDecisions) -> str:
    """Decisions in one line.

    Example:
        >>> told(certified_decisions([0.1, 0.2, 0.3], [True, True, False]))
        'Certified accuracy at 36/255: 33.3% of 3 labelled images; median certified radius 0.2 (L2, pixels from 0 to 1)'
    """
    if found.labelled:
        images = "image" if found.labelled == 1 else "images"
        share = f"Certified accuracy at 36/255: {found.accuracies[0]:.1%} of {found.labelled:,} labelled {images}"
    else:
        images = "decision" if found.total == 1 else "decisions"
        share = f"Certified at 36/255: {found.shares[0]:.1%} of {found.total:,} {images}"
    return f"{share}; median certified radius {rounded_down(found.median)} ({UNIT})"


def promise(radius: float) -> str:
    """What a radius promises, as a sentence; empty where it is no number.

    Example:
        >>> promise(0.2199)
        'No change of the pixels of less than 0.219 (L2, pixels from 0 to 1) changes this decision.'
    """
    if math.isnan(radius):
        return ""
    if radius <= 0:
        return f"Nothing is certified of this decision: its radius is 0 ({UNIT})."
    if math.isinf(radius):
        return "No change of the pixels changes this decision."
    return f"No change of the pixels of less than {rounded_down(radius)} ({UNIT}) changes this decision."


def rounded_down(radius: float) -> str:
    """A radius to three digits, never more than it is: a promise must not grow by rounding.

    Example:
        >>> rounded_down(0.21999), rounded_down(0.25), rounded_down(1999.0)
        ('0.219', '0.25', '1990')
    """
    if not math.isfinite(radius) or radius == 0:
        return "infinite" if math.isinf(radius) else f"{radius:g}"
    return f"{Context(prec=3, rounding=ROUND_DOWN).create_decimal_from_float(radius).normalize():f}"
