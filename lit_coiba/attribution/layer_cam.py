"""LayerCAM: each place of a feature map weighted by its own positive gradient.

Jiang, Zhang, Hou, Cheng and Wei, "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization", IEEE
Transactions on Image Processing, 2021.
"""

from __future__ import annotations

from torch import Tensor

from lit_coiba.attribution.cam import CAM
from lit_coiba.backbones.spatial_tail import SpatialTail
from lit_coiba.core.method import Card
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved, Score


class LayerCAM(CAM):
    """Positive part of the sum over the channels of one layer, each place weighted by its own positive gradient.

    The map has the layer's grid. Since places keep their own weights it can be asked of early layers too, whose grids
    are finer. Gradients below zero count as none, so evidence against the class is not seen.

    Args:
        layer: Layer on a grid, by its name in the model. None: the last with at least 4 x 4 cells; of a ViT the first
            norm of the last block, after which patches are not read any more.
        output: Score that is differentiated: ``logit``, ``prob``, ``logprob``, or ``rest`` (logit + logprob).
    """

    card = Card(
        "Jiang, Zhang, Hou, Cheng and Wei, 2021 (IEEE Transactions on Image Processing 30)",
        "1 forward, 1 backward above the layer",
        ("gradients", "layer"),
    )

    def __init__(self, layer: str | None = None, output: Score = "logit") -> None:
        super().__init__(layer, output=output)

    def weights(self, model: Network, images: Tensor, tail: SpatialTail, targets: Resolved) -> Tensor:
        """The positive part of the gradient, ``(B, C, h, w)``."""
        return tail.gradient(targets).clamp_min(0)
