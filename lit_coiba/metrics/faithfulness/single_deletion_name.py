"""Which single deletion score a model can have, and so what its column is called."""

from __future__ import annotations

from typing import Any

from lit_coiba.core.errors import InputError
from lit_coiba.metrics.faithfulness.idsds import IDSDS
from lit_coiba.metrics.faithfulness.sds import SDS


def single_deletion_of(model: Any) -> tuple[str, SDS | IDSDS]:
    """The single deletion score that a model can have with its usual settings, and the name of its column.

    Args:
        model: The model.
    """
    metric = IDSDS()
    try:
        metric.check_model(model)
    except InputError:
        return "sds", SDS()
    return "idsds", metric
