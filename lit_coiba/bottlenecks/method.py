"""What the bottleneck methods share: arguments, activation statistics and the noise that is drawn from them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor

from lit_coiba.bottlenecks.leak import sample_images
from lit_coiba.bottlenecks.prior import NoisePrior, PriorSettings, PriorSlot
from lit_coiba.bottlenecks.statistics import (
    ActivationStatistics,
    LeakTest,
    StatisticsSlot,
    estimate_statistics,
    images_of,
)
from lit_coiba.core.batched_evaluator import BatchedEvaluator, Chunk
from lit_coiba.core.behavior import behavior_of, refuse_one_logit, refuse_without_classes
from lit_coiba.core.errors import check_positive
from lit_coiba.core.method import AttributionMethod
from lit_coiba.core.network import Network


class BottleneckMethod(AttributionMethod):
    """A method that replaces activations by noise with the statistics of a dataset.

    A concrete method says which layers it needs statistics of (`statistics_layers`) and explains with
    ``self._slot.of(model)``, the statistics, and `_prior`, the noise. If it chooses its layers by a leak test, it
    implements `_leak_test`. A `Trainer` estimates the statistics of every method of this kind, over all processes.

    Args:
        statistics: File written by ``lit-coiba statistics``. None: call `prepare`.
        min_std: Lower bound of the standard deviations.
        chunk: Number of noise copies evaluated at once; ``auto`` = as many as are fast, halved when memory runs out.
        seed: Seed of the noise; all images of a run share it.

    Raises:
        InputError: `min_std` is not above 0, or `chunk` is not a number of copies.
    """

    def __init__(
        self, statistics: str | None = None, min_std: float = 0.01, chunk: Chunk = "auto", seed: int = 0
    ) -> None:
        check_positive(min_std=min_std)
        self.statistics = statistics
        self.min_std = min_std
        self.chunk = chunk
        self.seed = seed
        self._evaluator = BatchedEvaluator(chunk)
        self._slot = StatisticsSlot(statistics)
        self._priors = PriorSlot()
        self._other: tuple[str, BottleneckMethod] | None = None  # see `of_model`: digest of the model, its method

    def prepare(self, model: Network, loader: Iterable[Any]) -> None:
        """Estimate the statistics over `loader` in one pass; if no layers are given, the leak test chooses them.

        Statistics given as a file are used as they are; `loader` is then read only for a missing leak test.
        """
        if (behavior := behavior_of(model)) is not None:
            behavior.refuse_needs(type(self).__name__, self.card.needs)
        refuse_without_classes(model)
        refuse_one_logit(getattr(model, "num_classes", 2), "there is no cross-entropy to fit: the probability is")
        if (given := self._slot.given()) is not None:
            self.set_statistics(model, given, images_of(loader))
            return
        sample, loader = sample_images(loader)
        self.set_statistics(model, estimate_statistics(model, self.statistics_layers(model), loader), sample)

    @property
    def held(self) -> ActivationStatistics | None:
        """The statistics that it explains with; None = it has to be prepared."""
        return self._slot.held()

    @abstractmethod
    def statistics_layers(self, model: Network) -> list[str]:
        """The layers whose statistics are needed, the candidates of the leak test among them."""

    def set_statistics(
        self, model: Network, statistics: ActivationStatistics, images: Iterable[Tensor]
    ) -> ActivationStatistics:
        """Use `statistics`; if they carry no leak test and one is due, run it on batches of `images`, and add it.

        Args:
            model: The model that the statistics belong to.
            statistics: Statistics of `statistics_layers`.
            images: Batches ``(B, 3, H, W)``, read for a leak test only.

        Returns:
            What to keep: the statistics with the result of the leak test.

        Raises:
            InputError: The statistics are not of `model`, or the method refuses one of its layers.
        """
        self.statistics_layers(model)
        self._slot.fill(model, statistics)
        if statistics.leak is None and (found := self._leak_test(model, statistics, images)) is not None:
            self._slot.replace(statistics.with_leak(found))
        return self._slot.of(model)

    def of_model(self, model: Network, images: Iterable[Any]) -> BottleneckMethod:
        """This method; for the same network with other weights a copy, with that one's own statistics.

        Sanity checks ask a method to explain copies of a model whose layers are random. The copy has the same layers,
        also where a leak test chose them.

        Args:
            model: The model that is to be explained.
            images: Where its statistics are estimated, if it is another one.

        Raises:
            InputError: There are fewer than two images.
        """
        own, digest = self._slot.held(), model.digest()
        if own is None or own.model == digest:
            return self
        if self._other is None or self._other[0] != digest:
            copy = type(self)(**{**self.arguments(), "statistics": None})
            found = estimate_statistics(model, self.statistics_layers(model), images)
            copy.set_statistics(model, found if own.leak is None else found.with_leak(own.leak), ())
            self._other = digest, copy
        return self._other[1]

    def _leak_test(self, model: Network, statistics: ActivationStatistics, images: Iterable[Tensor]) -> LeakTest | None:
        """The test that chooses layers, on batches of `images`; None = there is nothing to choose."""
        return None

    def _prior(
        self, statistics: ActivationStatistics, layers: Sequence[str], copies: int, antithetic: bool = False
    ) -> NoisePrior:
        """The noise of `layers`, given in the order of the network; kept for the next batch.

        Args:
            statistics: Statistics of the layers.
            layers: Bottleneck layers.
            copies: Noise copies per image and step.
            antithetic: Whether noise is drawn in pairs of opposite sign.
        """
        settings = PriorSettings(statistics, tuple(layers), copies, self.min_std, antithetic, self.seed)
        return self._priors.of(settings)
