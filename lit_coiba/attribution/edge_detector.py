"""Edges of the picture: a trivial baseline (sanity check) that knows the picture and no model.

Clark, Wilming and Haufe, XAI-TRIS, 2023 (arXiv 2306.12816): where an edge detector wins, edges were measured.
"""

from __future__ import annotations

from torch import Tensor

from lit_coiba.core.errors import check_choice
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod, Card
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved
from lit_coiba.functional.edges import EdgeOperator, edge_strength, gray_levels


class EdgeDetector(AttributionMethod):
    """Strength of the edges of the gray picture, at pixel resolution; it runs no model.

    Args:
        operator: ``sobel`` = length of the gradient over both axes; ``laplace`` = absolute sum of the second
            differences over both axes.

    Raises:
        InputError: There is no such operator.
    """

    card = Card("", "none", class_dependent=False, baseline=True)

    def __init__(self, operator: EdgeOperator = "sobel") -> None:
        self.operator: EdgeOperator = check_choice(operator, EdgeOperator, "operator")

    def _explain(self, model: Network, images: Tensor, targets: Resolved) -> Explanation:
        pixels = model.preprocessing.denormalize(images)  # gray is a mixture of the picture's colors
        return Explanation(edge_strength(gray_levels(pixels), self.operator), {})
