"""ARCC: coherence, complexity and removal in one number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import a_kind
from lit_coiba.core.targets import Resolved, ResolvedClass, Targets
from lit_coiba.functional import cell_values, harmonic_mean, pearson, ranks, resize_map
from lit_coiba.metrics.batch import Explain, Model
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.faithfulness.removal import Output, Removal, chosen_by
from lit_coiba.metrics.faithfulness.removal_metric import RemovalMetric, names_of
from lit_coiba.metrics.maps import maps_of, not_finite
from lit_coiba.metrics.shared import Shared
from lit_coiba.perturbation.linear_imputation import imputation_noise, impute_linearly

PERCENTAGES = (20, 40, 60, 80)  # of the pixels, the paper's


class Parts(NamedTuple):
    """The factors of ARCC, each ``(B,)`` in [0, 1], higher is better; NaN = not defined."""

    coherence: Tensor  # of the map with that of the image which the map has masked
    simplicity: Tensor  # 1 less the mean of the map, scaled to [0, 1]
    road: Tensor  # score without the least relevant pixels less that without the most relevant ones


class ARCC(RemovalMetric):
    """Harmonic mean of how coherent a map is, how simple, and how well it ranks pixels: ARCC.

    arXiv 2605.14641, as in the package grad-cam, in whose docstring the mean is a geometric one. With the map m scaled
    to [0, 1]: coherence = (r + 1)/2 with Pearson's correlation r of the map and of that of the image times m;
    simplicity = 1 - mean of m; road = the mean over 20, 40, 60 and 80% of the pixels of LeRF - MoRF under `ROAD`, by
    the softmax probability, not below 0. A factor of 0 makes it 0. A sparse map is rewarded whatever it says, so
    `parts` belongs beside it.

    Args:
        noise: Standard deviation of the noise that is added to what ROAD fills in, in model input.
        seed: Seed of the noise, which depends on it, the sample's id and the percentage only.
        chunk: Images a forward; bounds memory, and changes no score. None = a number for the device.
        keep_samples: Whether every score is kept.
    """

    card = MetricCard(
        "complexity",
        "ARCC, 2026 (arXiv 2605.14641)",
        higher_is_better=True,
        range="0 to 1",
        cost="9 forwards, 8 sparse systems on the CPU, and 1 explanation",
        undefined="the map or that of the masked image is constant or not finite, or the model's score is not finite",
    )
    higher_is_better = card.higher_is_better
    needs: ClassVar[tuple[str, ...]] = ("model", "images", "targets", "maps", "method", "ids", "shared")
    usual_output: ClassVar[Output] = "logit"  # so that a target without a probability is refused

    def __init__(
        self, noise: float = 0.01, seed: int = 0, chunk: int | None = None, keep_samples: bool = False
    ) -> None:
        super().__init__("zero", "prob", chunk=chunk, keep_samples=keep_samples)
        self.noise = noise
        self.seed = seed

    def score(  # type: ignore[override]
        self,
        model: Model,
        images: Tensor,
        targets: Targets,
        maps: Tensor,
        method: Explain,
        ids: Sequence[str] | None = None,
        shared: Shared | None = None,
    ) -> Tensor:
        """Score of each sample ``(B,)``; see `Faithfulness.score`.

        Args:
            model: See `Faithfulness.score`.
            images: See there.
            targets: See there.
            maps: See there.
            method: What made the maps: model, images and targets to maps.
            ids: Ids of the samples, which the noise depends on; None = all samples have the same noise.
            shared: What other metrics have computed for the same model, images and targets.
        """
        return harmonic_mean(torch.stack(self.parts(model, images, targets, maps, method, ids, shared), 1))

    def parts(
        self,
        model: Model,
        images: Tensor,
        targets: Targets,
        maps: Tensor,
        method: Explain,
        ids: Sequence[str] | None = None,
        shared: Shared | None = None,
    ) -> Parts:
        """The three factors of each sample; arguments as those of `score`."""
        maps, shared = maps_of(maps, images), Shared() if shared is None else shared
        explained = _classes(chosen_by(model, images, targets, shared))
        removal = self.removal(model, images, explained, shared)
        low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
        scaled = (maps - low) / (high - low)
        mask = resize_map(scaled, removal.size).unsqueeze(1).nan_to_num(0.0).to(images.dtype)
        masked = maps_of(method(model, removal.images * mask, explained), images)
        coherence = (pearson(masked.flatten(1), maps.flatten(1)).to(maps) + 1) / 2
        road = self.measure(removal, maps, names_of(ids, images)).to(maps)
        undefined = not_finite(scaled) | not_finite(masked)
        found = (coherence, 1 - scaled.mean((-2, -1)), road)
        return Parts(*(values.masked_fill(undefined, torch.nan) for values in found))

    def measure(self, removal: Removal, maps: Tensor, ids: Sequence[str]) -> Tensor:
        """The factor of removal ``(B,)``."""
        places = ranks(cell_values(maps, removal.size))  # (B, H, W), 0 = the highest
        pixels, steps = places[0].numel(), len(PERCENTAGES)
        counts = torch.tensor([round(share / 100 * pixels) for share in PERCENTAGES], device=places.device)

        def made(rows: Tensor, copies: Tensor) -> Tensor:
            """The most relevant pixels filled in, then the least relevant ones."""
            count, lowest = counts[copies % steps][:, None, None], (copies >= steps)[:, None, None]
            removed = torch.where(lowest, places[rows] >= pixels - count, places[rows] < count)
            images = removal.images[rows]
            return impute_linearly(images, removed, imputation_noise(self.seed, self.noise, images, rows, copies, ids))

        most, least = removal.image_scores(2 * steps, made).unflatten(1, (2, steps)).mean(2).unbind(1)
        return (least - most).clamp(0, 1)

    def forwards(self, size: tuple[int, int]) -> int:
        """See `Metric.forwards`; the explanation comes on top."""
        return 1 + 2 * len(PERCENTAGES)


def _classes(explained: Resolved) -> ResolvedClass:
    """What is explained, if it is a class.

    Raises:
        InputError: It is something else, which has no probability.
    """
    if not isinstance(explained, ResolvedClass):
        raise InputError(
            f"ARCC needs a probability, and the target is {a_kind(explained)}, which has none: explain a class, or"
            " leave ARCC out"
        )
    return explained
