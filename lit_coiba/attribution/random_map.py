"""Random maps: a trivial baseline (sanity check), which every method has to beat."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from lit_coiba.core.errors import check_count
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod, Card
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved
from lit_coiba.functional import noise, uniform


class RandomMap(AttributionMethod):
    """Uniform random numbers on a grid.

    Args:
        grid_size: Side of the grid.
        seed: Seed of the numbers.
        per_image: Draw them for each image anew, from the seed and the image's own values, so that a map depends
            neither on its companions in a batch nor on the order; without, all images have the same map, whose maximum
            then lies in the same place for all.
    """

    card = Card("", "none", class_dependent=False, baseline=True)

    def __init__(self, grid_size: int = 14, seed: int = 0, per_image: bool = True) -> None:
        check_count(grid_size=grid_size)
        self.grid_size = grid_size
        self.seed = seed
        self.per_image = per_image

    def _explain(self, model: Network, images: Tensor, targets: Resolved) -> Explanation:
        shape = (self.grid_size, self.grid_size)
        if self.per_image:
            normal = torch.stack([noise(self.seed, _number(image), 0, shape) for image in images.cpu()])
        else:
            normal = noise(self.seed, 0, 0, (1, *shape)).expand(len(images), -1, -1)
        return Explanation(uniform(normal).to(images.device), {})


def _number(image: Tensor) -> int:
    """A number that is another one for every image."""
    values = image.float().contiguous().numpy().tobytes()
    return int.from_bytes(hashlib.blake2b(values, digest_size=6).digest(), "little")
