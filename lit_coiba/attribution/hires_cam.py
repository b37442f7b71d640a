"""HiResCAM: feature maps times their gradients, place by place.

Draelos and Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks", 2020
(arXiv 2011.08891).
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


class HiResCAM(AttributionMethod):
    """Sum over the channels of one layer of activation times gradient of the target's score.

    The map has the layer's grid. Where only pooling and a linear classifier lie above the layer its sum is the logit
    without its bias, and the map is Grad-CAM's.

    Args:
        layer: Layer on a grid, by its name in the model. None: the last with at least 4 x 4 cells; of a ViT the first
            norm of the last block, after which patches are not read any more.
        relu: Keep positive evidence only, as Grad-CAM does.
        output: Score that is differentiated: logit, or softmax probability.
    """

    card = Card(
        "Draelos and Carin, 2020 (arXiv 2011.08891)", "1 forward, 1 backward above the layer", ("gradients", "layer")
    )

    def __init__(self, layer: str | None = None, relu: bool = True, output: Output = "logit") -> None:
        self.layer = layer
        self.relu = relu
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
        maps = (gradient * tail.activation.to(gradient.dtype)).sum(1)
        maps = maps.clamp_min(0) if self.relu else maps
        return Explanation(precise(maps), {})
