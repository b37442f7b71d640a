"""What the metrics share that multiply an image by its map and compare the probabilities of the class."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError, check_choice, check_count
from lit_coiba.core.targets import Resolved, Targets, select_output
from lit_coiba.functional import precise, resize_map
from lit_coiba.metrics.batch import Model
from lit_coiba.metrics.faithfulness.faithfulness import Faithfulness
from lit_coiba.metrics.faithfulness.probability import check_probability
from lit_coiba.metrics.faithfulness.removal import Removal, clean_key
from lit_coiba.metrics.maps import constant, digest, maps_of, not_finite
from lit_coiba.metrics.metric import Metric
from lit_coiba.metrics.shared import Shared
from lit_coiba.perturbation.baselines import Baseline, BaselineImages, Space

Scaling = Literal["minmax", "none"]


class MaskedImage(Metric):
    """A metric that compares the probability of the class for an image and for the image times its map.

    The map is enlarged to the image and brought to [0, 1]: m. The masked image is m * x + (1 - m) * baseline, which
    with zeros is m * x, of normalized input (as in Xplique), or of pixels (``space="pixels"``). Metrics of the same map
    share the forward. Probabilities are softmax probabilities: a target without one is refused, as
    these numbers mean nothing for logits.

    Args:
        scaling: ``minmax`` = the smallest value of each map becomes 0 and the largest 1; ``none`` = maps are in [0, 1].
        baseline: What shows where the map is 0; see `perturbation.baselines.BaselineImages`.
        space: Where the baseline is made: normalized model ``input``, or ``pixels`` in [0, 1].
        chunk: Images a forward; bounds memory, and changes no score. None = a number for the device.
        keep_samples: Whether every score is kept.

    Raises:
        InputError: An argument that is not among its choices or out of range.
    """

    needs: ClassVar[tuple[str, ...]] = (*Faithfulness.needs, "shared")

    def __init__(
        self,
        scaling: Scaling = "minmax",
        baseline: Baseline | float = "zero",
        space: Space = "input",
        chunk: int | None = None,
        keep_samples: bool = False,
    ) -> None:
        super().__init__(keep_samples)
        self.scaling = check_choice(scaling, Scaling, "scaling")
        self.baseline = baseline
        self.space = space
        self.chunk = chunk
        if chunk is not None:
            check_count(chunk=chunk)
        self._baselines = BaselineImages(baseline, space)

    def score(
        self, model: Model, images: Tensor, targets: Targets, maps: Tensor, shared: Shared | None = None
    ) -> Tensor:
        """Score of each sample ``(B,)``, in percent; see `Faithfulness.score` and `RemovalMetric.score`.

        Raises:
            InputError: The target has no probability, or maps are outside of [0, 1] and `scaling` is none.
        """
        check_probability(type(self).__name__, targets)
        maps = maps_of(maps, images)
        unknown = not_finite(maps)
        if self.scaling == "minmax":
            unknown = unknown | constant(maps)
        elif ((maps < 0) | (maps > 1)).any():
            raise InputError("scaling is none, and some maps are outside of [0, 1]: take minmax")
        shared = Shared() if shared is None else shared
        removal = Removal(model, images, targets, self._baselines, "prob", self.chunk, shared)
        masked = shared.get((*self._key(maps), clean_key(model)), lambda: self._masked(removal, maps))
        found = self.compare(removal.clean_values(_probabilities), masked)
        return found.masked_fill(unknown, torch.nan)

    @abstractmethod
    def compare(self, clean: Tensor, masked: Tensor) -> Tensor:
        """Scores ``(B,)``.

        Args:
            clean: Probability of the class, and of all other classes, for the image ``(B, 2)``.
            masked: The same for the image times its map.
        """

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Add a batch; the arguments are those of `score`."""
        self._add(self.score(*args, **kwargs))

    def forwards(self, size: tuple[int, int]) -> int:
        """See `Metric.forwards`."""
        return 2

    def check(self, size: tuple[int, int]) -> None:
        """See `Metric.check`."""
        self._baselines.check(size)

    def _masked(self, removal: Removal, maps: Tensor) -> Tensor:
        """Probabilities ``(B, 2)`` of the masked images."""
        shown = resize_map(maps, removal.size)
        if self.scaling == "minmax":
            low, high = shown.amin((1, 2), keepdim=True), shown.amax((1, 2), keepdim=True)
            shown = (shown - low) / (high - low)
        shown, empty = shown.unsqueeze(1).to(removal.images.dtype), removal.baseline_images()

        def made(rows: Tensor, _: Tensor) -> Tensor:
            return torch.lerp(empty[rows], removal.images[rows], shown[rows])

        return removal.image_scores(1, made, _probabilities)[:, 0]

    def _key(self, maps: Tensor) -> tuple[Any, ...]:
        """What decides the masked images, beside model and images."""
        return "masked", digest(maps), self.scaling, repr(self._baselines)


def _probabilities(resolved: Resolved, out: Any) -> Tensor:
    """Probability of each row's class, and of all others together ``(R, 2)``."""
    every = precise(select_output(out, getattr(resolved, "output", None))).softmax(-1)
    own = resolved.index.unsqueeze(-1)
    return torch.cat([every.gather(-1, own), every.scatter(-1, own, 0).sum(-1, keepdim=True)], -1)
