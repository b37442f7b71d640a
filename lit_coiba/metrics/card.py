"""What one wants to know of a metric before computing it."""

from __future__ import annotations

from typing import NamedTuple


class MetricCard(NamedTuple):
    """What a user wants to know of a metric before computing it; ``lit-coiba metrics`` shows it."""

    family: str  # the question it belongs to: faithfulness, localisation, complexity, ...
    paper: str  # authors, title, year, number at arXiv
    higher_is_better: bool | None  # None = neither
    range: str  # of a score, with its unit
    cost: str  # images that run forward through the model for one explanation
    undefined: str  # when a score is NaN
