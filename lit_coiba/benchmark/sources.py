"""What is compared: stores of explanations, and the references that every table has."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from lit_coiba.attribution import RandomMap, Saliency
from lit_coiba.backbones import Backbone
from lit_coiba.core.class_identity import class_identity
from lit_coiba.core.errors import InputError, warn
from lit_coiba.core.method import AttributionMethod
from lit_coiba.core.old_names import current_identity
from lit_coiba.core.printable import counted, listed, printable
from lit_coiba.core.targets.strings import target_text
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.transforms import Transform
from lit_coiba.modules.scorer import Keys, Source
from lit_coiba.store import ExplanationStore

_CAUSES = (  # what of a store's identity makes it explain other classes or images, what it is called, and the remedy
    ("targets", "their targets", "explain both with the same --model.targets"),
    (
        "precision",
        "their precisions, in which the model may predict different classes,",
        "explain both with the same --trainer.precision, or with --model.targets label",
    ),
    ("samples", "their numbers of images", "explain the same images, with the same --limit"),
)

REFERENCE = "Saliency"  # the row that the others are compared with


class StoreSource(Source):
    """Maps that a run has put in a store.

    Args:
        store: The explanations.
        keys: Those that are scored.
    """

    def __init__(self, store: ExplanationStore, keys: Keys) -> None:
        super().__init__(keys)
        self.store = store
        self.identity = store.manifest.digest

    def maps(self, network: Backbone, images: Tensor, ids: list[str], targets: Tensor) -> Tensor:
        """The maps as they are in the store ``(R, h, w)``."""
        return torch.stack([self.store[name, target].map for name, target in zip(ids, targets.tolist())])


class MethodSource(Source):
    """Maps that a method makes while they are scored: for references that cost little.

    Args:
        method: The method.
        keys: What is scored.
    """

    def __init__(self, method: AttributionMethod, keys: Keys) -> None:
        super().__init__(keys)
        self.method = method
        self.identity = _described(method)

    def maps(self, network: Backbone, images: Tensor, ids: list[str], targets: Tensor) -> Tensor:
        """The method's maps ``(R, h, w)``."""
        with torch.enable_grad():
            return self.method.attribute(network, images, targets)


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
        self.identity = {"class": type(self).__name__, "grid": list(grid)}

    def maps(self, network: Backbone, images: Tensor, ids: list[str], targets: Tensor) -> Tensor:
        """Shares ``(R, h, w)``; NaN where a region is not known."""
        unknown = torch.full(images.shape[-2:], torch.nan)
        found = [self.regions.of(name) for name in ids]
        masks = torch.stack([unknown if region is None else region.float() for region in found])
        return adaptive_avg_pool2d(masks[:, None], self.grid)[:, 0]


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

    @property
    def known(self) -> bool:
        """Whether some image's object is known."""
        return any(self._knows(index) for index in range(len(self.dataset)))

    def _knows(self, index: int) -> bool:
        try:
            return self.dataset.region(index) is not None
        except Exception:  # whatever a user's dataset raises: the image fails where it is scored, if it is
            return False


def names_of(folders: Sequence[str]) -> dict[str, str]:
    """Name in the table -> folder: the folder's own name, or the whole path where two are alike.

    Raises:
        InputError: There is no store, or one is given twice.
    """
    if not folders:
        raise InputError("stores: give at least one folder that `lit-coiba explain` wrote")
    folders = [os.fspath(folder) for folder in folders]
    if len({os.path.realpath(os.path.expanduser(folder)) for folder in folders}) < len(folders):
        raise InputError(f"stores: {', '.join(folders)} names a folder twice: keep one")
    names = [Path(os.path.abspath(folder)).name for folder in folders]  # of ".." too
    if len(set(names)) < len(names):
        names = [folder.strip("/").replace("/", "-") for folder in folders]
    if len(set(names)) < len(names):  # a/b-c and a-b/c
        names = [f"{name}-{number}" for number, name in enumerate(names, start=1)]
    return dict(zip(names, folders))


def finest_grid(stores: Sequence[ExplanationStore]) -> tuple[int, int]:
    """Height and width of the maps in the store that has the most cells.

    Raises:
        InputError: A store without a map that can be read.
    """
    firsts = [(store, next(iter(store), None)) for store in stores]
    if empty := [store for store, row in firsts if row is None]:
        raise InputError(
            f"stores: {printable(empty[0].path, 200)} has no explanation that can be read: rerun the command that wrote"
            " it"
        )
    shapes = [row.map.shape for _, row in firsts if row is not None]
    height, width = max(shapes, key=lambda shape: shape.numel())
    return height, width


def common_keys(stores: Sequence[ExplanationStore], ids: Sequence[str]) -> Keys:
    """The (id, target) that all stores explain, of the samples `ids`, since scores are compared in pairs.

    Warns of the others, which are left out.

    Raises:
        InputError: There are none.
    """
    asked = set(ids)
    found = [{key for key in set(store.keys()) if key[0] in asked} for store in stores]
    shared = sorted(set.intersection(*found))
    if not shared:
        names = listed(store.path for store in stores)
        what = "stores" if len(stores) > 1 else "store"
        raise InputError(
            f"{what} {names}: no explanation is of the data's images"
            f"{' and of the same class in all of them' if len(stores) > 1 else ''}, so nothing can be compared: give"
            " stores of the same data and targets"
        )
    if others := sorted(set.union(*found) - set(shared)):
        warn(f"{_left_out(shared, others)}{_cause(stores, asked)}", stacklevel=2)
    keys: Keys = {}
    for sample, target in shared:
        keys.setdefault(sample, []).append(target)
    return keys


def _cause(stores: Sequence[ExplanationStore], asked: Collection[str]) -> str:
    """Why stores explain different classes or images, and what to do, as the end of a sentence; empty if unknown."""
    for key, what, remedy in _CAUSES:
        values = [current_identity(store.manifest.identity).get(key) for store in stores]
        first, other = 0, next((k for k, value in enumerate(values) if value != values[0]), 0)
        if other:
            told = [f"{stores[k].path.name} {printable(target_text(values[k]), 40)}" for k in (first, other)]
            return f"; {what} differ ({told[0]}, {told[1]}): {remedy}"
    failed = {store.path.name: {failure.id for failure in store.failures()} & set(asked) for store in stores}
    most = max(failed, key=lambda name: len(failed[name]))
    if count := len(failed[most]):
        return f"; {count:,} images failed in {most}: after fixing the files, explain with --retry_failed true"
    return "; explain with the same command until nothing is missing"


def _left_out(shared: list[tuple[str, int]], others: list[tuple[str, int]]) -> str:
    """How many explanations are compared, and of how many images there are others."""
    sample, target = others[0]
    images = len({name for name, _ in others})
    return (
        f"{counted(len(shared), 'explanation')} compared, others of {counted(images, 'image')} left out, such as"
        f" {printable(sample, 80)} (class {target}): they are not in all stores, or of another class"
    )


def reference_row(stores: Mapping[str, ExplanationStore]) -> str:
    """Name of the row that the others are compared with: gradient saliency, from a store or made for the table."""
    return _row_of(Saliency(), stores) or REFERENCE


def references(
    keys: Keys, stores: Mapping[str, ExplanationStore], oracle: RegionSource | None = None
) -> dict[str, MethodSource | RegionSource]:
    """The ends of the scale that every table has: the oracle, if there is one, gradient saliency and random maps.

    Where a store has the maps of one of them already, it is that row.

    Args:
        keys: What is scored.
        stores: What is in the table, by name.
        oracle: Where the data know where the evidence is.

    Raises:
        InputError: A store of something else has such a name.
    """
    rows: dict[str, MethodSource | RegionSource] = {} if oracle is None else {"Oracle": oracle}
    for name, method in {REFERENCE: Saliency(), "Random": RandomMap()}.items():
        if _row_of(method, stores) is None:
            rows[name] = MethodSource(method, keys)
    reserved = {name.casefold() for name in rows}  # some file systems do not distinguish Oracle from oracle
    for name, store in stores.items():
        if name.casefold() in reserved:
            raise InputError(
                f"stores: {store.path} has the name of a row that the table always has, but other explanations: "
                "rename the folder"
            )
    return rows


def _row_of(method: AttributionMethod, stores: Mapping[str, ExplanationStore]) -> str | None:
    """Name of the first store that was made by this method with these arguments, if there is one."""
    wanted = _described(method)
    made = {name: current_identity(store.manifest.identity).get("method") for name, store in stores.items()}
    return next((name for name, method in made.items() if method == wanted), None)


def _described(method: AttributionMethod) -> dict[str, Any]:
    """A method as manifests describe it."""
    return {"class": class_identity(type(method)), **method.arguments()}
