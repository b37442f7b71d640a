"""LayerCAM: each place of a feature map weighted by its own positive gradient.

Jiang, Zhang, Hou, Cheng and Wei, "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization", IEEE
Transactions on Image Processing, 2021.
"""

from __future__ import annotations

from torch import Tensor

from lit_coiba.backbones.spatial_tail import SpatialTail
from lit_coiba.core.errors import check_choice
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.frozen import frozen
from lit_coiba.core.images import Output, check_images
from lit_coiba.core.method import AttributionMethod, Card
from lit_coiba.core.network import Network
from lit_coiba.functional import precise


class LayerCAM(AttributionMethod):
    """Positive part of the sum over the channels of one layer, each place weighted by its own positive gradient.

    The map has the layer's grid. Since places keep their own weights it can be asked of early layers too, whose grids
    are finer. Gradients below zero count as none, so evidence against the class is not seen.

    Args:
        layer: Layer on a grid, by its name in the model. None: the last with at least 4 x 4 cells; of a ViT the first
            norm of the last block, after which patches are not read any more.
        output: Score that is differentiated: logit, or softmax probability.
    """

    card = Card(
        "Jiang, Zhang, Hou, Cheng and Wei, 2021 (IEEE Transactions on Image Processing 30)",
        "1 forward, 1 backward above the layer",
        ("gradients", "layer"),
    )

    def __init__(self, layer: str | None = None, output: Output = "logit") -> None:
        self.layer = layer
        self.output = check_choice(output, Output, "output")

    def explain(self, model: Network, images: Tensor, targets: Tensor | int | None = None) -> Explanation:
        """Explain `images` ``(B, 3, H, W)`` for `targets` ``(B,)``, or one for all; None: the predicted class.

        Raises:
            InputError: The layer lies on no grid.
        """
        check_images(model, images)
        with frozen(model):
            tail = SpatialTail(model, self.layer, images)
            classes = tail.classes(targets)
            gradient = tail.gradient(classes, self.output)
        maps = (gradient.clamp_min(0) * tail.activation.to(gradient.dtype)).sum(1).clamp_min(0)
        return Explanation(precise(maps), {})
