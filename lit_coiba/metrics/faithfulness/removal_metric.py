"""What the metrics share that remove parts of an image and look at the score."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.core.targets import Targets
from lit_coiba.metrics.batch import Model, TakenBaseline
from lit_coiba.metrics.faithfulness.faithfulness import Faithfulness
from lit_coiba.metrics.faithfulness.removal import OUTPUT, Output, Removal, Removed, settled_baseline, told_baseline
from lit_coiba.metrics.maps import maps_of, not_finite
from lit_coiba.metrics.metric import Metric
from lit_coiba.metrics.shared import Shared
from lit_coiba.perturbation.baselines import Baseline, BaselineImages, Space


class RemovalMetric(Metric):
    """A metric that compares a map with what happens when parts of the image are removed.

    Args:
        baseline: What removed parts are replaced by: a name or a number as for `perturbation.baselines.BaselineImages`;
            ``tokens`` = a vision transformer's patches are dropped; ``auto`` = tokens where the model can, else zeros.
        output: Score of a class: softmax probability, logit or log probability. A target that has a score of its own
            keeps it.
        space: Where the baseline is made: normalized model ``input``, or ``pixels`` in [0, 1].
        chunk: Images a forward; bounds memory, and changes no score. None = a number for the device.
        keep_samples: Whether every score is kept.

    Raises:
        InputError: An argument that is not among its choices or out of range.
    """

    needs: ClassVar[tuple[str, ...]] = (*Faithfulness.needs, "ids", "shared")
    usual_baseline: ClassVar[Baseline] = "zero"  # where tokens are asked for if possible, and are not
    usual_output: ClassVar[Output] = OUTPUT  # the default, which gives way to a target's own score

    def __init__(
        self,
        baseline: Removed | float = "zero",
        output: Output = OUTPUT,
        space: Space = "input",
        chunk: int | None = None,
        keep_samples: bool = False,
    ) -> None:
        super().__init__(keep_samples)
        self.baseline = baseline
        self.output = check_choice(output, Output, "output")
        self.space = space
        self.chunk = chunk
        if chunk is not None and chunk < 1:
            raise InputError(f"chunk is {chunk}: give 1 or more")
        self._baselines = BaselineImages(self.usual_baseline if baseline in ("tokens", "auto") else baseline, space)  # type: ignore[arg-type]

    def score(
        self,
        model: Model,
        images: Tensor,
        targets: Targets,
        maps: Tensor,
        ids: Sequence[str] | None = None,
        shared: Shared | None = None,
    ) -> Tensor:
        """Score of each sample ``(B,)``; see `Faithfulness.score`.

        Args:
            model: See `Faithfulness.score`.
            images: See there.
            targets: See there.
            maps: See there.
            ids: Ids of the samples, which random draws depend on; None = all samples have the same draws.
            shared: What other metrics have computed for the same model, images and targets.
        """
        maps = maps_of(maps, images)
        removal = self.removal(model, images, targets, shared)
        return self.measure(removal, maps, names_of(ids, images)).masked_fill(not_finite(maps), float("nan"))

    def removal(self, model: Model, images: Tensor, targets: Targets, shared: Shared | None = None) -> Removal:
        """The images, whose parts can be removed as these settings say; arguments as those of `score`."""
        baseline = settled_baseline(model, self.baseline, self._baselines)
        asked = self.output != self.usual_output
        return Removal(model, images, targets, baseline, self.output, self.chunk, shared, asked)

    def taken_baseline(self, model: Model) -> TakenBaseline:
        """See `Metric.taken_baseline`."""
        return told_baseline(self.baseline, settled_baseline(model, self.baseline, self._baselines))

    @abstractmethod
    def measure(self, removal: Removal, maps: Tensor, ids: Sequence[str]) -> Tensor:
        """Scores ``(B,)``; NaN where the metric is not defined.

        Args:
            removal: The images, whose parts can be removed.
            maps: ``(B, h, w)``, in single precision at least.
            ids: B ids.
        """

    def check(self, size: tuple[int, int]) -> None:
        """Refuse images of `size`, height and width, that are too small for these settings.

        Raises:
            InputError: They are.
        """
        self._baselines.check(size)


def names_of(ids: Sequence[str] | None, images: Tensor) -> Sequence[str]:
    """What the draws of samples are keyed by: their ids; where there are none, all have the same draws."""
    return [""] * len(images) if ids is None else ids
