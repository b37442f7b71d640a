"""HiResCAM: feature maps times their gradients, place by place.

Draelos and Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks", 2020
(arXiv 2011.08891).
"""

from __future__ import annotations

from torch import Tensor

from lit_coiba.attribution.cam import CAM
from lit_coiba.backbones.spatial_tail import SpatialTail
from lit_coiba.core.method import Card
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved


class HiResCAM(CAM):
    """Sum over the channels of one layer of activation times gradient of the target's score.

    The map has the layer's grid. Where only pooling and a linear classifier lie above the layer its sum is the logit
    without its bias, and the map is Grad-CAM's.

    Args:
        layer: Layer on a grid, by its name in the model. None: the last with at least 4 x 4 cells; of a ViT the first
            norm of the last block, after which patches are not read any more.
        relu: Whether to keep positive evidence only, as Grad-CAM does.
        output: Score that is differentiated: ``logit``, ``prob``, ``logprob``, or ``rest`` (logit + logprob).
    """

    card = Card(
        "Draelos and Carin, 2020 (arXiv 2011.08891)", "1 forward, 1 backward above the layer", ("gradients", "layer")
    )

    def weights(self, model: Network, images: Tensor, tail: SpatialTail, targets: Resolved) -> Tensor:
        """The gradient, ``(B, C, h, w)``."""
        return tail.gradient(targets)
