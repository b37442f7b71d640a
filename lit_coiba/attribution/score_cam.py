"""Score-CAM: feature maps weighted by the score of the image masked with them; no gradients.

Wang, Wang, Du, Yang, Zhang, Ding, Mardziel and Hu, "Score-CAM: Score-Weighted Visual Explanations for Convolutional
Neural Networks", 2020 (arXiv 1910.01279).
"""

from __future__ import annotations

import torch
from torch import Tensor

from lit_coiba.attribution.cam import CAM
from lit_coiba.backbones.spatial_tail import SpatialTail
from lit_coiba.core.batched_evaluator import BatchedEvaluator, Chunk
from lit_coiba.core.errors import check_count
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import Card, Start
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved, Score
from lit_coiba.functional import precise, resize_map


class ScoreCAM(CAM):
    """Positive part of the sum over the channels of one layer, each weighted by what it keeps of the target's score.

    A channel's map, brought to [0, 1] and to the size of the image, masks the image; the softmax over channels of the
    scores of these masked images gives the weights. The map has the layer's grid. (Subtracting the score of an empty
    image first, as the paper writes, does not change a softmax.)

    Args:
        layer: Layer on a grid, by its name in the model. None: the last with at least 4 x 4 cells; of a ViT the first
            norm of the last block, after which patches are not read any more.
        channels: Number of channels to use, those whose values vary most over the places of the image; None = all (the
            paper).
        output: Score of a masked image: ``logit``, ``logprob``, ``rest`` (their sum), or ``prob``, with which the
            weights are nearly equal.
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
        output: Score = "logit",
        chunk: Chunk = "auto",
    ) -> None:
        if channels is not None:
            check_count(channels=channels)
        super().__init__(layer, output=output)
        self.channels = channels
        self.chunk = chunk
        self._evaluator = BatchedEvaluator(chunk)

    def _explain(self, model: Network, images: Tensor, targets: Resolved) -> Explanation:
        """As `CAM` does, which computes the logits on the way; here nothing is made of them."""
        return self._explain_started(model, images, targets, Start(None, SpatialTail(model, self.layer, images)))

    @torch.no_grad()
    def weights(self, model: Network, images: Tensor, tail: SpatialTail, targets: Resolved) -> Tensor:
        """Softmax over the channels of the scores of the images masked with them, ``(B, k, 1, 1)``."""
        features, size = self.features(tail), (images.shape[-2], images.shape[-1])

        def scores(channels: slice, rows: slice) -> Tensor:
            """Of images masked with some channels, ``(k, r)``."""
            part = features[rows, channels].transpose(0, 1)  # (k, r, h, w)
            masks = _unit_range(resize_map(part.flatten(0, 1), size, tail.grid.places)).unflatten(0, part.shape[:2])
            masked = images[rows] * masks.unsqueeze(2).to(images.dtype)
            out = model(masked.flatten(0, 1))
            return targets.take(rows).repeat(len(part)).score(out).unflatten(0, part.shape[:2])

        return self._evaluator.gather(images, features.shape[1], scores).softmax(0).T[:, :, None, None]

    def features(self, tail: SpatialTail) -> Tensor:
        """The channels that are used, ``(B, k, h, w)``, in their order."""
        features = precise(tail.activation)
        if self.channels is None or self.channels >= features.shape[1]:
            return features
        spread = features.flatten(2).std(2)
        places = spread.topk(self.channels, 1).indices.sort(1).values
        return features.gather(1, places[:, :, None, None].expand(-1, -1, *features.shape[-2:]))


def _unit_range(maps: Tensor) -> Tensor:
    """Each map ``(N, H, W)`` from 0 at its smallest to 1 at its largest value; a constant one is 0."""
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return (maps - low) / (high - low).clamp_min(1e-8)
