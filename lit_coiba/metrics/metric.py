"""What every metric of maps is: a score per sample, and the mean of the scores that are defined."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
import torchmetrics
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from lit_coiba.core.arguments import checks_arguments
from lit_coiba.core.class_identity import class_identity, kept_arguments
from lit_coiba.core.errors import InputError
from lit_coiba.metrics.batch import ScoredBatch, TakenBaseline
from lit_coiba.metrics.card import MetricCard


@checks_arguments
class Metric(torchmetrics.Metric):
    """Mean of per-sample scores; NaN = undefined: left out of the mean and counted in `undefined`.

    States are sums and counts, reduced by sum: exact over uneven processes, and memory is flat. Constructor arguments
    are plain values, kept as attributes of their names.

    A family of metrics is what their `score` takes, which `needs` says; `Faithfulness` and `Localisation` are two. With
    it a metric can be scored from stores, and updated.

    Args:
        keep_samples: Whether every score is kept as well, in single precision; see `samples`.
    """

    full_state_update = False
    is_differentiable = False

    card: ClassVar[MetricCard] = MetricCard("not stated", "", None, "not stated", "not stated", "not stated")
    needs: ClassVar[tuple[str, ...]] = ("maps",)  # fields of `ScoredBatch`, in the order of the arguments of `score`
    serves_all_maps: ClassVar[bool] = False  # whether its forwards are made once for all maps of an image
    excluded_from_identity: ClassVar[frozenset[str]] = frozenset({"chunk", "keep_samples"})  # decide no score

    total: Tensor  # () fp64: sum of the defined scores
    count: Tensor  # () int64: how many are defined
    undefined: Tensor  # () int64: how many are not
    kept: list[Tensor]  # scores in the order of the updates, where they are kept

    def __init__(self, keep_samples: bool = False) -> None:
        super().__init__()
        self.keep_samples = keep_samples
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("undefined", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        if keep_samples:
            self.add_state("kept", [], dist_reduce_fx="cat")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        checks_arguments(cls)

    @abstractmethod
    def score(self, *args: Any, **kwargs: Any) -> Tensor:
        """Score of each sample ``(B,)``; NaN = undefined."""

    def score_batch(self, batch: ScoredBatch) -> Tensor:
        """`score` of a batch that has all of `needs`, ``(R,)``."""
        return self.score(*(getattr(batch, name) for name in self.needs))

    def details(self, batch: ScoredBatch) -> dict[str, Tensor]:
        """What is kept of each sample of a batch, ``(R, ...)``: its score, which has no name, and more by names."""
        return {"": self.score_batch(batch)}

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Add a batch; the arguments are those of `score`."""
        self._add(self.score(*args, **kwargs))

    def compute(self) -> Tensor:
        """Mean of the defined scores, fp64 ``()``; NaN where there are none."""
        return self.total / self.count

    def samples(self) -> Tensor:
        """The scores that this process has seen ``(n,)``, in the order of the updates.

        Raises:
            InputError: They were not kept.
        """
        if not self.keep_samples:
            raise InputError(f"{type(self).__name__} keeps no scores: make it with keep_samples=True")
        return dim_zero_cat(self.kept) if len(self.kept) else torch.empty(0, device=self.device)

    def forwards(self, size: tuple[int, int]) -> int:
        """Number of images of `size` that run forward through the model for one score, as far as is known."""
        return 0

    def taken_baseline(self, model: Any) -> TakenBaseline | None:
        """What takes the place of the parts that are removed from a model's images; None = none are."""
        return None

    def check(self, size: tuple[int, int]) -> None:
        """Refuse images of `size`, height and width in pixels, that these settings cannot be used on.

        Raises:
            InputError: They cannot.
        """
        return

    def identity(self) -> dict[str, Any]:
        """What decides the scores: the class and `settings`, but for those `excluded_from_identity`."""
        settings = {name: v for name, v in self.settings().items() if name not in self.excluded_from_identity}
        return {"class": class_identity(type(self)), **settings}

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments of this instance, as plain values, with what a preset filled in."""
        return kept_arguments(self)

    def _add(self, scores: Tensor) -> None:
        here = scores.detach().to(self.total.device)
        defined = ~here.isnan()
        self.total = self.total + here[defined].double().sum()
        self.count = self.count + defined.sum()
        self.undefined = self.undefined + (~defined).sum()
        if self.keep_samples:
            self.kept.append(here.to(self.dtype))
