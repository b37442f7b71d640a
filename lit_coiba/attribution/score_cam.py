"""Score-CAM: feature maps weighted by the score of the image masked with them; no gradients.

Wang, Wang, Du, Yang, Zhang, Ding, Mardziel and Hu, "Score-CAM: Score-Weighted Visual Explanations for Convolutional
Neural Networks", 2020 (arXiv 1910.01279).
"""

from __future__ import annotations

import torch
from torch import Tensor

from lit_coiba.backbones.spatial_tail import SpatialTail
from lit_coiba.core.batched_evaluator import BatchedEvaluator, Chunk
from lit_coiba.core.errors import check_choice, check_count
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.frozen import frozen
from lit_coiba.core.images import Output, check_images, class_scores
from lit_coiba.core.method import AttributionMethod, Card
from lit_coiba.core.network import Network
from lit_coiba.functional import resize_map


class ScoreCAM(AttributionMethod):
    """Positive part of the sum over the channels of one layer, each weighted by what it keeps of the target's score.

    A channel's map, brought to [0, 1] and to the size of the image, masks the image; the softmax over channels of the
    scores of these masked images gives the weights. The map has the layer's grid. (Subtracting the score of an empty
    image first, as the paper writes, does not change a softmax.)

    Args:
        layer: Layer on a grid, by its name in the model. None: the last with at least 4 x 4 cells; of a ViT the first
            norm of the last block, after which patches are not read any more.
        channels: Use only the channels whose values vary most over the places of the image; None = all (the paper).
        output: Score of a masked image: logit, or softmax probability, with which the weights are nearly equal.
        chunk: Masked images at once; ``auto`` = as many as are fast, halved where memory runs out.
    """

    card = Card(
        "Wang, Wang, Du, Yang, Zhang, Ding, Mardziel and Hu, 2020 (arXiv 1910.01279)",
        "a forward per channel of the layer",
        ("layer",),
    )

    def __init__(
        self,
        layer: str | None = None,
        channels: int | None = None,
        output: Output = "logit",
        chunk: Chunk = "auto",
    ) -> None:
        if channels is not None:
            check_count(channels=channels)
        self.layer = layer
        self.channels = channels
        self.output = check_choice(output, Output, "output")
        self.chunk = chunk
        self._copies = BatchedEvaluator(chunk)

    def explain(self, model: Network, images: Tensor, targets: Tensor | int | None = None) -> Explanation:
        """Explain `images` ``(B, 3, H, W)`` for `targets` ``(B,)``, or one for all; None: the predicted class.

        Raises:
            InputError: The layer lies on no grid.
        """
        check_images(model, images)
        with frozen(model), torch.no_grad():
            tail = SpatialTail(model, self.layer, images)
            classes = tail.classes(targets)
            features = self._chosen(tail.activation.to(torch.promote_types(images.dtype, torch.float32)))
            size = (images.shape[-2], images.shape[-1])

            def scores(channels: slice, rows: slice) -> Tensor:
                """Of images masked with some channels, ``(k, r)``."""
                part = features[rows, channels].transpose(0, 1)  # (k, r, h, w)
                masks = _unit_range(resize_map(part.flatten(0, 1), size)).unflatten(0, part.shape[:2])
                masked = images[rows] * masks.unsqueeze(2).to(images.dtype)
                logits = model(masked.flatten(0, 1))
                return class_scores(logits, classes[rows].repeat(len(part)), self.output).unflatten(0, part.shape[:2])

            weights = self._copies.gather(images, features.shape[1], scores).softmax(0).T
        maps = (weights[:, :, None, None] * features).sum(1).clamp_min(0)
        return Explanation(maps, {})

    def _chosen(self, features: Tensor) -> Tensor:
        """The channels of ``(B, C, h, w)`` that are used, ``(B, k, h, w)``, in their order."""
        if self.channels is None or self.channels >= features.shape[1]:
            return features
        spread = features.flatten(2).std(2)
        places = spread.topk(self.channels, 1).indices.sort(1).values
        return features.gather(1, places[:, :, None, None].expand(-1, -1, *features.shape[-2:]))


def _unit_range(maps: Tensor) -> Tensor:
    """Each map ``(N, H, W)`` from 0 at its smallest to 1 at its largest value; a constant one is 0."""
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return (maps - low) / (high - low).clamp_min(1e-8)
