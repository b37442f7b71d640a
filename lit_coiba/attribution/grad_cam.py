"""Grad-CAM: feature maps weighted by their mean gradient.

Selvaraju, Cogswell, Das, Vedantam, Parikh and Batra, "Grad-CAM", 2016 (arXiv 1610.02391).
"""

from __future__ import annotations

from torch import Tensor

from lit_coiba.attribution.cam import CAM
from lit_coiba.backbones.spatial_tail import SpatialTail
from lit_coiba.core.method import Card
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved


class GradCAM(CAM):
    """Sum over the channels of one layer, each weighted by the mean gradient of the target's score over its places.

    The map has the layer's grid. It is the cheapest method that separates classes on a CNN that ends in global average
    pooling, where it is the class activation map itself. On other networks the mean over places mixes what lies where,
    and on transformers it is often poor: HiResCAM and LayerCAM keep the places apart.

    Args:
        layer: Layer on a grid, by its name in the model. None: the last with at least 4 x 4 cells; of a ViT the first
            norm of the last block, after which patches are not read any more.
        relu: Whether to keep positive evidence only (the paper).
        output: Score that is differentiated: ``logit``, ``prob``, ``logprob``, or ``rest`` (logit + logprob).
    """

    card = Card(
        "Selvaraju, Cogswell, Das, Vedantam, Parikh and Batra, 2016 (arXiv 1610.02391)",
        "1 forward, 1 backward above the layer",
        ("gradients", "layer"),
    )

    def weights(self, model: Network, images: Tensor, tail: SpatialTail, targets: Resolved) -> Tensor:
        """Mean gradient over the places, ``(B, C, 1, 1)``."""
        return tail.gradient(targets).mean((2, 3), keepdim=True)
