"""What is compared: stores of explanations, and the references that every table has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from lit_coiba import attribution
from lit_coiba.backbones import Backbone
from lit_coiba.bottlenecks import ActivationStatistics, BottleneckMethod
from lit_coiba.core.class_identity import class_identity, named_class
from lit_coiba.core.errors import InputError
from lit_coiba.core.method import AttributionMethod
from lit_coiba.core.old_names import current_identity
from lit_coiba.core.targets import Targets
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.mapped import check_importance
from lit_coiba.data.subset import limited
from lit_coiba.data.transforms import Transform
from lit_coiba.modules.scorer import Keys, Source
from lit_coiba.store import ExplanationStore
from lit_coiba.store.folder import STATISTICS


class StoreSource(Source):
    """Maps that a run has put in a store.

    Args:
        store: The explanations.
        keys: Those that are scored.
        images: Where a bottleneck estimates the statistics of a copy of the model with random layers.
    """

    def __init__(self, store: ExplanationStore, keys: Keys, images: Iterable[Tensor] = ()) -> None:
        super().__init__(keys)
        self.store = store
        self.images = images
        self.identity = store.manifest.digest
        self.settings = dict(current_identity(store.manifest.identity).get("method") or {})
        self._made_by: AttributionMethod | None = None

    def method(self, model: Any, images: Tensor, targets: Targets) -> Tensor:
        """Maps ``(B, h, w)`` of other images by the method that made the store's.

        Raises:
            InputError: The method is a class outside this package, which no file may import.
        """
        if self._made_by is None:
            self._made_by = method_of(self.store, model)
        with torch.enable_grad():
            return self._made_by.of_model(model, self.images).attribute(model, images, targets)

    def maps(self, network: Backbone, images: Tensor, ids: list[str], targets: Tensor) -> Tensor:
        """The maps as they are in the store ``(R, h, w)``."""
        return torch.stack([self.store[name, target].map for name, target in zip(ids, targets.tolist())])


def method_of(store: ExplanationStore, model: Any) -> AttributionMethod:
    """The method that made a store, ready to explain other images of the model.

    Raises:
        InputError: It is a class outside this package, which no file may import, or does not take what the store says.
    """
    described = dict(current_identity(store.manifest.identity).get("method") or {})
    kind = named_class(described.pop("class", None), AttributionMethod, attribution, None, str(store.path), "method")
    try:
        method: AttributionMethod = kind(**described)
    except TypeError as error:
        raise InputError(f"store {store.path} was made by another version of {kind.__name__}: {error}") from error
    if isinstance(method, BottleneckMethod):
        method.set_statistics(model, ActivationStatistics.load(store.path / STATISTICS), ())
    return method


class MethodSource(Source):
    """Maps that a method makes while they are scored: for references that cost little.

    Args:
        method: The method.
        keys: What is scored.
    """

    def __init__(self, method: AttributionMethod, keys: Keys) -> None:
        super().__init__(keys)
        self._method = method
        self.identity = self.settings = described_method(method)

    def maps(self, network: Backbone, images: Tensor, ids: list[str], targets: Tensor) -> Tensor:
        """The method's maps ``(R, h, w)``."""
        return self.method(network, images, targets)

    def method(self, model: Any, images: Tensor, targets: Targets) -> Tensor:
        """Maps ``(B, h, w)`` of any images."""
        with torch.enable_grad():
            return self._method.attribute(model, images, targets)


class RegionSource(Source):
    """The oracle where the data know where the evidence is: its share of each cell.

    Args:
        regions: Where it is.
        keys: What is scored.
        grid: Height and width of the maps.
    """

    def __init__(self, regions: DatasetRegions, keys: Keys, grid: tuple[int, int]) -> None:
        super().__init__(keys)
        self.regions = regions
        self.grid = grid
        self.identity = self.settings = {"class": type(self).__name__, "grid": list(grid)}

    def maps(self, network: Backbone, images: Tensor, ids: list[str], targets: Tensor) -> Tensor:
        """Shares ``(R, h, w)``; NaN where a region is not known."""
        unknown = torch.full(images.shape[-2:], torch.nan)
        found = [self.regions.of(name) for name in ids]
        masks = torch.stack([unknown if region is None else region.float() for region in found])
        return adaptive_avg_pool2d(masks[:, None], self.grid)[:, 0]


class StatisticsImages:
    """Some images of a dataset, evenly spaced, as model input: where activation statistics are estimated anew.

    Args:
        dataset: The images; those that cannot be read are left out.
        transform: Transform that makes them model input.
        count: How many.
    """

    def __init__(self, dataset: ImageDataset, transform: Transform, count: int = 64) -> None:
        self.dataset = limited(dataset, count)
        self.transform = transform

    def __iter__(self) -> Iterator[Tensor]:
        for index in range(len(self.dataset)):
            try:
                image = self.transform(self.dataset.image(index))
            except Exception:
                continue
            yield image.unsqueeze(0)


class DatasetRegions:
    """Where the objects of a dataset are, at the model's input.

    Args:
        dataset: The images.
        transform: Transform that makes them model input.
    """

    def __init__(self, dataset: ImageDataset, transform: Transform) -> None:
        self.dataset = dataset
        self.transform = transform
        self._places = {name: index for index, name in enumerate(dataset.ids)}

    def of(self, sample: str) -> Tensor | None:
        """Mask ``(H, W)``, bool; None = unknown.

        Raises:
            OSError: A file cannot be read, or its boxes make no sense; the message says why.
        """
        mask = self.dataset.region(self._places[sample])
        return None if mask is None else self.transform.region(mask)

    def suppressor(self, sample: str) -> Tensor | None:
        """Mask ``(H, W)`` of what is no evidence, but of use to a model, bool; None = unknown."""
        mask = self.dataset.suppressor(self._places[sample])
        return None if mask is None else self.transform.region(mask)

    def importance(self, sample: str) -> Tensor | None:
        """Where people say the evidence is, float32 ``(H, W)``; None = unknown, or the same everywhere.

        Raises:
            InputError: The map has values that are none.
            OSError: A file cannot be read, or its map does not fit its image; the message says why.
        """
        map = self.dataset.importance(self._places[sample])
        if map is None:
            return None
        check_importance(map, *map.shape)
        shown = self.transform.importance(map)
        return None if bool((shown == shown[0, 0]).all()) else shown

    @property
    def mapped(self) -> bool:
        """Whether people have said of some image where the evidence is."""
        return any(self.dataset.importance_version(index) for index in range(len(self.dataset)))

    @property
    def known(self) -> bool:
        """Whether some image's object is known."""
        return any(self._knows(index) for index in range(len(self.dataset)))

    def _knows(self, index: int) -> bool:
        try:
            return self.dataset.region(index) is not None
        except Exception:  # whatever a user's dataset raises: the image fails where it is scored, if it is
            return False


def described_method(method: AttributionMethod) -> dict[str, Any]:
    """A method as manifests describe it."""
    return {"class": class_identity(type(method)), **method.arguments()}
