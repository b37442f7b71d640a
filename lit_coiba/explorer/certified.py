"""What pages say of certified decisions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lit_coiba.explorer.page_data import Certified
from lit_coiba.explorer.predictions import Prediction
from lit_coiba.lipschitz.decisions import USUAL, CertifiedDecisions, certified_decisions


def certified(given: Sequence[Prediction], labelled: Sequence[Prediction]) -> Certified | None:
    """Sum up decisions that have a certified radius; None where there is none.

    Args:
        given: Decisions whose radii are looked at.
        labelled: Decisions that can be right or wrong.
    """
    found = _of(given)
    accuracies = () if (right := _of(labelled)) is None else right.accuracies
    if found is None:
        return None
    return Certified(
        decisions=found.total,
        median=found.median if math.isfinite(found.median) else None,
        share=found.shares[0],
        accuracy=accuracies[0] if accuracies else None,
        curve=tuple(zip(USUAL, accuracies or found.shares)),
    )


def _of(rows: Sequence[Prediction]) -> CertifiedDecisions | None:
    known = [(row.radius, row.correct) for row in rows if row.radius is not None]
    return certified_decisions([radius for radius, _ in known], [correct for _, correct in known])
