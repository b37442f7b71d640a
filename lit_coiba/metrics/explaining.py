"""What the metrics share that explain again: with other images, or with another model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from lit_coiba.core.behavior import behavior_of
from lit_coiba.core.errors import InputError, warn
from lit_coiba.core.frozen import frozen
from lit_coiba.core.targets import Resolved, Targets
from lit_coiba.metrics.batch import Explain, Model
from lit_coiba.metrics.faithfulness.faithfulness import resolve_on
from lit_coiba.metrics.faithfulness.removal import clean_key
from lit_coiba.metrics.maps import checked_maps, maps_of, not_finite
from lit_coiba.metrics.metric import Metric
from lit_coiba.metrics.shared import Shared


class Explained:
    """A batch of images, what is explained of each, and the method, which can be asked again.

    What is explained was chosen on the clean images and stays, whatever images or model the method is asked with.

    Args:
        model: Images to logits, or to a structure with them.
        images: Normalized model input ``(B, C, H, W)``.
        targets: What is explained, a row for each image; see `Faithfulness.score`.
        method: Method that made the maps.
        shared: What other metrics have computed for the same model, images and targets.

    Raises:
        InputError: Images or targets that do not fit the model.
    """

    def __init__(
        self, model: Model, images: Tensor, targets: Targets, method: Explain, shared: Shared | None = None
    ) -> None:
        if (behavior := behavior_of(model)) is not None:
            behavior.refuse_batches()
        self.model, self.images, self.method = model, images.detach(), method
        self.shared = Shared() if shared is None else shared
        self.out: Any = self.shared.get(clean_key(model), self._output)  # of the images as they are
        self.rows: Resolved = resolve_on(self.out, targets, images).recounted()

    @property
    def clean(self) -> Tensor:
        """Maps of the images as they are, which metrics of the same method share."""
        return self.shared.get(("explained", id(self.model), self.method), lambda: self.maps(self.images))

    def maps(self, images: Tensor, model: Model | None = None, rows: Resolved | None = None) -> Tensor:
        """What the method makes ``(B, h, w)``, detached, in fp32 at least.

        Args:
            images: Images in the place of the batch's.
            model: Model in the place of the batch's.
            rows: What is explained, in the place of the batch's rows.

        Returns:
            Maps; NaN with a warning where the method cannot explain the model in the place of the batch's, such as a
            bottleneck, whose statistics belong to the model that they were estimated for.

        Raises:
            InputError: It does not return a map for each image.
        """
        asked = self.model if model is None else model
        try:
            with frozen(asked):
                found = self.method(asked, images, self.rows if rows is None else rows)
        except InputError as error:
            if model is None:
                raise
            warn(f"undefined, since the method cannot explain a randomized model: {error}")
            return images.new_full((len(images), 1, 1), torch.nan)
        return checked_maps(found, len(images)).to(images.device)

    def _output(self) -> Any:
        with frozen(self.model), torch.no_grad():
            return self.model(self.images.clone())  # which a model may write into


class ExplainingMetric(Metric):
    """A metric that asks the method that made a map for other maps.

    The map that it compares these with is made again as well, so that all have the same resolution and precision.
    """

    needs: ClassVar[tuple[str, ...]] = ("model", "images", "targets", "maps", "method", "ids", "shared")

    def score(
        self,
        model: Model,
        images: Tensor,
        targets: Targets,
        maps: Tensor,
        method: Explain,
        ids: Sequence[str] | None = None,
        shared: Shared | None = None,
    ) -> Tensor:
        """Score of each sample ``(B,)``.

        Args:
            model: See `Faithfulness.score`.
            images: See there.
            targets: See there.
            maps: See there.
            method: Method that made the maps: a function of model, images and targets that returns maps, such as
                ``GradCAM().attribute``.
            ids: Ids of the samples, which random draws depend on; None = all samples have the same draws.
            shared: What other metrics have computed for the same model, images and targets.

        Returns:
            Scores; NaN where a map is not finite, or the metric is not defined.

        Raises:
            InputError: Images, targets or maps that do not fit.
        """
        maps = maps_of(maps, images)
        names = [""] * len(images) if ids is None else list(ids)
        found = self.measure(Explained(model, images, targets, method, shared), maps, names)
        return found.masked_fill(not_finite(maps), torch.nan)

    @abstractmethod
    def measure(self, explained: Explained, maps: Tensor, ids: Sequence[str]) -> Tensor:
        """Scores ``(B,)``; NaN where the metric is not defined.

        Args:
            explained: The images, and the method.
            maps: The maps that are scored, ``(B, h, w)``.
            ids: B ids.
        """

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Add a batch; the arguments are those of `score`."""
        self._add(self.score(*args, **kwargs))
