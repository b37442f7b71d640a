"""The family of metrics that change images as a map says, and look at what the model makes of it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.targets import Resolved, Target, Targets, resolve, select_output
from lit_coiba.metrics.batch import Model
from lit_coiba.metrics.metric import Metric


class Faithfulness(Metric):
    """Does the model depend on what a map calls important?"""

    needs: ClassVar[tuple[str, ...]] = ("model", "images", "targets", "maps")

    @abstractmethod
    def score(self, model: Model, images: Tensor, targets: Targets, maps: Tensor) -> Tensor:
        """Score of each sample.

        Args:
            model: Images to logits, or to a structure with them. A module runs in evaluation mode and is left as it
                was.
            images: Normalized model input ``(B, C, H, W)``.
            targets: What the maps explain: classes, one for each image or one for all, or a `Target` with one row for
                each image; None = the class predicted on the clean image.
            maps: Maps ``(B, h, w)``, at any resolution.

        Returns:
            ``(B,)``; NaN where a map is not finite.

        Raises:
            InputError: Shapes that do not fit, or what the metric's settings ask for is not there.
        """


def resolve_on(out: Any, targets: Targets, images: Tensor) -> Resolved:
    """A row for each image, chosen on the model's clean output where something has to be chosen.

    Args:
        out: What the model returned for `images`.
        targets: See `Faithfulness.score`.
        images: The images ``(B, ...)``.

    Raises:
        InputError: Not one row for each image, or no logits for classes.
    """
    if isinstance(targets, Resolved | Target):
        return resolve(targets, images, 0, lambda: out)
    logits = select_output(out)
    if logits.dim() != 2 or len(logits) != len(images):
        raise InputError(
            f"the model returns {tuple(logits.shape)} for {len(images)} images: it must return (B, K) logits"
        )
    # Where the logits are not finite, the score is, too: that sample is undefined, and the others are not.
    return resolve(logits.argmax(-1) if targets is None else targets, images, logits.shape[1], lambda: out)
