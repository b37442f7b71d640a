"""Explanations of a probe set by a network whose weights are those of the moment, and what a metric says of them."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple

import torch
from lightning import LightningModule
from torch import Tensor, nn

from lit_coiba.backbones import Backbone
from lit_coiba.bottlenecks import BottleneckMethod
from lit_coiba.bottlenecks.statistics import ActivationStatistics
from lit_coiba.callbacks.probe_set import ProbeSet
from lit_coiba.core.batch import Batch
from lit_coiba.core.errors import InputError
from lit_coiba.core.images import check_images
from lit_coiba.core.method import AttributionMethod
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.core.targets import Target, resolve
from lit_coiba.functional import resize_map, spearman
from lit_coiba.metrics.batch import ScoredBatch
from lit_coiba.metrics.metric import Metric
from lit_coiba.modules.explainer import Explainer
from lit_coiba.store import BlockRecord

Part = str | Callable[[LightningModule], nn.Module]  # of a LightningModule: the name of an attribute, or what finds it
Key = tuple[str, int]  # of a map: id of the image, and its rank among the targets of the image

_BATCH = 8  # images, of those that statistics are estimated on
KNOWN = {"maps", "model", "images", "targets", "ids", "method", "shared"}  # of a probe set, of what metrics score


class Found(NamedTuple):
    """A probe set, explained."""

    record: BlockRecord  # ids are the numbers of the images
    score: float  # mean of the metric; NaN where there is none, or it is defined for no explanation
    statistics: ActivationStatistics | None  # that the method has used

    def maps(self) -> dict[Key, Tensor]:
        """The maps ``(h, w)``, on the CPU."""
        seen: dict[str, int] = {}
        keys = []
        for name in self.record.ids:
            seen[name] = seen.get(name, -1) + 1
            keys.append((name, seen[name]))
        return dict(zip(keys, self.record.maps))

    def shown(self) -> Tensor:
        """The maps ``(R, h, w)`` with cells that are equal parts of the image."""
        places = self.record.places
        return self.record.maps if places is None else resize_map(self.record.maps, places.size, places)


class ProbeExplainer:
    """Explains a probe set, again and again.

    Args:
        method: The method; it stays as it is.
        target: What to explain.
        metric: The metric; None = none.

    Raises:
        InputError: The method brings statistics of other weights, or the metric needs what a probe set does not have.
    """

    def __init__(self, method: AttributionMethod, target: Target, metric: Metric | None) -> None:
        if getattr(method, "statistics", None) is not None:
            raise InputError(
                f"method.statistics is {method.statistics}, and statistics are those of one set of weights: leave it"  # type: ignore[attr-defined]
                " out, so that they are estimated each time"
            )
        if metric is not None and (unknown := sorted(set(metric.needs) - KNOWN)):
            raise InputError(
                f"metric is {type(metric).__name__}, which needs {' and '.join(unknown)}, and of a probe set that is"
                " not known: choose another, such as Insertion"
            )
        self.target, self.metric = target, metric
        self._method = type(method)(**method.arguments()) if isinstance(method, BottleneckMethod) else method
        self._prepared = False

    def __call__(
        self, network: Backbone, probe: ProbeSet, sample: ProbeSet, class_names: list[str] | None = None
    ) -> Found:
        """Maps, and what the metric says of them.

        Args:
            network: The network.
            probe: What is explained, on the device of the network.
            sample: Images that activation statistics are estimated on, if the method needs some; on the same device.
            class_names: Names of the classes; None = unknown.

        Raises:
            InputError: The network, the images or the labels are none that method, target or metric can be used on.
        """
        check_images(network, probe.images)
        method = self._of(network, sample)
        explainer = Explainer(network, method, self.target, certify=False)
        explainer.names = tuple(class_names or ())
        if self.target.uses_labels and int(probe.labels.max()) < 0:
            raise InputError("targets is label, but no image has a label: give labels, or explain the predicted class")
        self.target.check(network.num_classes, explainer.names if self.target.uses_names else None)
        record = explainer.predict_step(Batch(probe.images, probe.ids, probe.labels, block=0))
        statistics = method.held if isinstance(method, BottleneckMethod) else None
        found = Found(record, float("nan"), statistics)
        return found._replace(score=self._score(network, probe, found, method))

    def _of(self, network: Backbone, sample: ProbeSet) -> AttributionMethod:
        """The method, with statistics of the weights of the moment if it needs some: of the same layers each time."""
        images = sample.images.split(_BATCH)
        if self._prepared:
            return self._method.of_model(network, images)
        self._method.prepare(network, images)
        self._prepared = True
        return self._method

    def _score(self, network: Backbone, probe: ProbeSet, found: Found, method: AttributionMethod) -> float:
        record, images = found.record, probe.images
        if self.metric is None or not record.ids:
            return float("nan")
        self.metric.check((images.shape[-2], images.shape[-1]))
        images, classes = images[[int(name) for name in record.ids]], record.targets.to(images.device)
        with torch.no_grad():
            targets = resolve(classes, images, network.num_classes, lambda: network(images))
            attribute, maps = _with_gradients(method), found.shown().to(images.device)
            scored = ScoredBatch(network, images, targets, maps, record.ids, method=attribute)
            return float(self.metric.score_batch(scored).double().nanmean())


def network_of(module: LightningModule, part: Part | None, size: tuple[int, int] | None) -> Backbone:
    """The network in a LightningModule, as methods see it; its weights are the module's own.

    Args:
        module: The module that trains.
        part: The part that maps images to logits; None = its `network`, if that is a `Backbone`, else itself.
        size: Height and width of the images, where the part is no `Backbone`; None = its own.

    Raises:
        InputError: There is no such part, or it does not return logits.
    """
    own = type(module).__name__
    try:
        found: Any = part(module) if callable(part) else attrgetter(part)(module) if part else _default(module)
    except AttributeError as error:
        raise InputError(f"module is {part!r}, which {own} does not have ({error}): name one of its parts") from error
    if isinstance(found, Backbone):
        return found
    recipe = getattr(module, "preprocessing", None)
    try:
        return Backbone.wrap(found, recipe if isinstance(recipe, Preprocessing) else None, image_size=size)
    except InputError as error:
        if part is not None:
            raise
        raise InputError(
            f"{own} cannot be explained: {error.sentence.rstrip('.')}; or name the part of it that maps images to"
            " logits as module"
        ) from error


def rank_correlation(before: dict[Key, Tensor], now: dict[Key, Tensor]) -> float:
    """Mean of Spearman's rank correlation of each map with the one before; NaN where it is defined for none.

    Example:
        >>> before, now = ({("0", 0): torch.tensor([row])} for row in ([1.0, 2.0, 3.0], [1.0, 3.0, 2.0]))
        >>> round(rank_correlation(before, now), 6)
        0.5
    """
    both = [key for key, map in now.items() if key in before and before[key].shape == map.shape]
    found = [spearman(before[key].flatten(), now[key].flatten()) for key in both]
    return float(torch.stack(found).nanmean()) if found else float("nan")


def _default(module: LightningModule) -> nn.Module:
    network = getattr(module, "network", None)
    return network if isinstance(network, Backbone) else module


def _with_gradients(method: AttributionMethod) -> Callable[..., Tensor]:
    def attribute(model: Any, images: Tensor, targets: Any) -> Tensor:
        with torch.enable_grad():
            return method.attribute(model, images, targets)

    return attribute
