"""ViT-CX: causal scores of masks that are made of the model's own patch embeddings.

Xie, Li, Cao and Zhang, "ViT-CX: Causal Explanation of Vision Transformers", IJCAI 2023 (arXiv 2211.03064).
"""

from __future__ import annotations

import torch
from scipy.cluster.hierarchy import fcluster, linkage
from torch import Tensor

from lit_coiba.backbones.defaults import block_outputs
from lit_coiba.backbones.spatial_tail import SpatialTail
from lit_coiba.core.batched_evaluator import BatchedEvaluator, Chunk
from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod, Card
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved, Score
from lit_coiba.functional import Places, noise, precise, resize_map

PIXELS = 2**22  # of masks that are added up at once


class ViTCX(AttributionMethod):
    """Mean score of the masked images that show a place, with masks made of the channels of the last block.

    Each channel of the patch embeddings is brought to [0, 1]; channels that point the same way are joined into one
    mask, so that some ten to a few hundred are left. What a mask hides is filled with noise. The map, at pixel
    resolution, is the sum of the masks weighted by the score under each, over the sum of the masks, so that places that
    many masks show have no advantage. Works on any layer with a grid, and was made for transformers. Masks are soft: a
    small object shows through nearly all of them, and the map is then worse than none, as on SyntheticParts; it was
    among the best where objects are large. In bf16 clusters of channels change: the maps of the ViT that this was tried
    on had a rank correlation of .82 with those in fp32, so take fp32.

    Args:
        layer: Layer on a grid. None: of a ViT the output of the last block, else the last with at least 4 x 4 cells.
        delta: Cosine distance up to which channels are joined, all pairs of a mask (paper, recalled).
        output: Score of a masked image: ``prob`` (recalled), ``logit``, ``logprob`` or ``rest`` (logit + logprob).
        noise_scale: Standard deviation of the noise, in units of model input.
        chunk: Masked images at once; ``auto`` = as many as are fast, halved where memory runs out.
        seed: Seed of the noise, which all images and masks share.
    """

    card = Card(
        "Xie, Li, Cao and Zhang, 2023 (arXiv 2211.03064)",
        "a forward per mask (tens to some hundreds), as many as the layer's channels at most",
        ("layer",),
    )

    def __init__(
        self,
        layer: str | None = None,
        delta: float = 0.1,
        output: Score = "prob",
        noise_scale: float = 1.0,
        chunk: Chunk = "auto",
        seed: int = 0,
    ) -> None:
        if not (0 <= delta <= 2 and 0 <= noise_scale < torch.inf):
            raise InputError(
                f"delta is {delta} and noise_scale {noise_scale}: give a cosine distance from 0 to 2, and 0 or more"
            )
        self.layer = layer
        self.delta = delta
        self.output = check_choice(output, Score, "output")
        self.noise_scale = noise_scale
        self.chunk = chunk
        self.seed = seed
        self._evaluator = BatchedEvaluator(chunk)

    @torch.no_grad()
    def _explain(self, model: Network, images: Tensor, targets: Resolved) -> Explanation:
        """As `AttributionMethod` says; the extra ``masks`` ``(B,)`` counts the masks of each image.

        Raises:
            InputError: The layer has no grid.
        """
        size = (images.shape[-2], images.shape[-1])
        tail = SpatialTail(model, self.layer or _last_block(model), images)
        activation, places = precise(tail.activation), tail.grid.places
        channels = unit_range(activation.flatten(2)).unflatten(2, activation.shape[-2:])
        found = [joined(one, self.delta) for one in channels]  # per image (k, h, w)
        masks, counts = torch.cat(found), [len(one) for one in found]
        owner = torch.arange(len(images), device=images.device).repeat_interleave(masks.new_tensor(counts).long())
        fill = self.noise_scale * noise(self.seed, 0, 0, images.shape[1:]).to(images)

        def scores(_: slice, some: slice) -> Tensor:
            """Of some masks, each on its own image, ``(1, r)``."""
            shown = resize_map(masks[some], size, places).unsqueeze(1).to(images.dtype)
            out = model(torch.lerp(fill.expand_as(shown.expand(-1, 3, -1, -1)), images[owner[some]], shown))
            return targets.take(owner[some]).score(out).unsqueeze(0)

        each = images[:1].expand(len(masks), -1, -1, -1)  # as many rows as there are masks, in no memory
        weights = self._evaluator.gather(each, 1, scores)[0]
        maps = [
            _covered(part, weight, size, places) for part, weight in zip(masks.split(counts), weights.split(counts))
        ]
        return Explanation(torch.stack(maps), {"masks": torch.tensor(counts, device=images.device, dtype=torch.int64)})


def unit_range(values: Tensor) -> Tensor:
    """Values ``(..., n)`` from 0 at the smallest to 1 at the largest of the last axis; constant ones are 0."""
    low, high = values.amin(-1, keepdim=True), values.amax(-1, keepdim=True)
    return (values - low) / (high - low).clamp_min(1e-8)


def joined(channels: Tensor, delta: float) -> Tensor:
    """Masks ``(k, h, w)`` of channels ``(D, h, w)`` in [0, 1]: clusters of cosine distance `delta`, complete linkage.

    A mask is the sum of its channels, brought to [0, 1]; channels without any contrast are left out, and a layer that
    has no other gives one mask that shows everything.
    """
    flat = channels.flatten(1)
    flat = flat[flat.amax(1) > 0]
    if not len(flat):
        return torch.ones_like(channels[:1])
    if len(flat) > 1:
        tree = linkage(flat.double().cpu().numpy(), method="complete", metric="cosine")
        labels = torch.from_numpy(fcluster(tree, delta, criterion="distance")).to(flat.device).long() - 1
        flat = torch.zeros(int(labels.max()) + 1, flat.shape[1], dtype=flat.dtype, device=flat.device).index_add(
            0, labels, flat
        )
    return unit_range(flat).unflatten(1, channels.shape[1:])


def _covered(masks: Tensor, weights: Tensor, size: tuple[int, int], places: Places | None) -> Tensor:
    """Sum of the masks ``(k, h, w)`` by their weights ``(k,)`` over their plain sum, ``(H, W)``."""
    total, cover = masks.new_zeros(size), masks.new_zeros(size)
    step = max(1, PIXELS // total.numel())
    for part, weight in zip(masks.split(step), weights.split(step)):
        large = resize_map(part, size, places)
        total = total + (weight[:, None, None] * large).sum(0)
        cover = cover + large.sum(0)
    return torch.where(cover > 0, total / cover.clamp_min(1e-12), 0.0)


def _last_block(model: Network) -> str:
    blocks = block_outputs(model.candidate_layers())
    return blocks[-1] if blocks else model.cam_layer()
