"""Class activation maps: what GradCAM, HiResCAM, LayerCAM and ScoreCAM have in common."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from lit_coiba.backbones.spatial_tail import SpatialTail
from lit_coiba.core.errors import check_choice
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod, Start, from_start
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved, Score


class CAM(AttributionMethod):
    """Weighted sum over the channels of one layer, on the layer's grid. A concrete method says what the weights are.

    Args:
        layer: Layer on a grid, by its name in the model. None: the last with at least 4 x 4 cells; of a ViT the first
            norm of the last block, after which patches are not read any more.
        relu: Whether only the positive part of the sum is kept.
        output: Score of a class.
    """

    def __init__(self, layer: str | None = None, relu: bool = True, output: Score = "logit") -> None:
        self.layer = layer
        self.relu = relu
        self.output: Score = check_choice(output, Score, "output")

    @abstractmethod
    def weights(self, model: Network, images: Tensor, tail: SpatialTail, targets: Resolved) -> Tensor:
        """What the `features` are multiplied by, ``(B, C, h, w)``, or ``(B, C, 1, 1)`` for all places alike.

        Args:
            model: The model, frozen.
            images: ``(B, 3, H, W)``.
            tail: The layer's activation, and the network above it.
            targets: A row for each image.
        """

    def features(self, tail: SpatialTail) -> Tensor:
        """The channels that are summed, ``(B, C, h, w)``: all of the layer."""
        return tail.activation

    _explain = from_start

    def _start(self, model: Network, images: Tensor) -> Start:
        """As `AttributionMethod` says.

        Raises:
            InputError: The layer has no grid.
        """
        tail = SpatialTail(model, self.layer, images)
        return Start(tail.logits, tail)

    def _explain_started(self, model: Network, images: Tensor, targets: Resolved, started: Start) -> Explanation:
        tail = started.state
        weights = self.weights(model, images, tail, targets)
        maps = (weights * self.features(tail).to(weights.dtype)).sum(1)
        return Explanation(maps.clamp_min(0) if self.relu else maps, {}, tail.grid.places)
