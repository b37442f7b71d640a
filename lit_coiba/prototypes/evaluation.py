"""Evaluate the prototypes of a head without asking anyone: two passes over test images, in bounded memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lit_coiba.backbones import Backbone
from lit_coiba.core.batch import Batch
from lit_coiba.core.errors import InputError
from lit_coiba.core.frozen import frozen
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.keypoints import Keypoints
from lit_coiba.data.module import BlockDataModule
from lit_coiba.data.transforms import Transform
from lit_coiba.functional import signed_max
from lit_coiba.functional.part_purity import (
    LEFT_RIGHT,
    PartPurity,
    Share,
    centre_cropped,
    merge_parts,
    merged_names,
    part_purity,
    parts_inside,
)
from lit_coiba.functional.part_vectors import part_vectors, sample_noise
from lit_coiba.heads import Head
from lit_coiba.metrics.prototypes.activation_sparsity import ActivationSparsity
from lit_coiba.metrics.prototypes.channel_correlation import ChannelCorrelation
from lit_coiba.metrics.prototypes.class_prototypes import class_prototypes
from lit_coiba.metrics.prototypes.consistency import Consistency
from lit_coiba.metrics.prototypes.explanation_size import ExplanationSize
from lit_coiba.metrics.prototypes.stability import Stability
from lit_coiba.metrics.prototypes.strongest_purity import StrongestPurity
from lit_coiba.prototypes.scores import Compared, Histograms, PrototypeScores
from lit_coiba.store.progress import progress_bar

STANDARD = 224  # pixels of the side that the papers' sizes are for
PATCH, HALF = 32, 36  # pixels of it: side of a patch, half of the side of a box

_ALONE: dict[str, Any] = {"sync_on_compute": False}  # of several processes one evaluates, and the others wait


class PrototypePatches(NamedTuple):
    """Where the prototypes come from, in training images; the strongest patches of each prototype first."""

    ids: Sequence[str]  # N samples of the training split
    boxes: Tensor  # (N, 4) top, left, bottom, right in pixels of the model's input; the latter two lie outside
    units: Tensor  # (N,) int64: the prototype, any number; where a unit has two sides, one for each


def evaluate_prototypes(
    backbone: Backbone,
    datamodule: BlockDataModule,
    prototypes: PrototypePatches | None = None,
    top: int = 10,
    patches: int = 10,
    patch_size: int | None = None,
    merge: Mapping[str, str] = LEFT_RIGHT,
    share: Share = "visible",
    half: int | None = None,
    consistency_threshold: float = 0.8,
    noise_std: float = 0.2,
    noise_clip: float = 0.25,
    size_threshold: float = 0.2,
    purity_images: int = 5,
    seed: int = 0,
    progress: bool = True,
) -> PrototypeScores:
    """Measures of the prototypes of a head.

    Part purity (PIP-Net) is that of patches of training images. All else is measured on the images that the data
    module explains, which have to be others: consistency and stability (Huang et al., 2022) where the parts of an image
    are known and it has a label; channel purity (EPIC), RV coefficient, sparsity and explanation size on all of them.
    RV is over one value per image and channel, `functional.signed_max` of its map, whatever the head pools by.

    Papers' sizes are for images of 224 pixels; None = in proportion to the shorter side. Images are resized and cropped
    as the model's recipe says, where the papers stretch the bird's box to a square. Runs in one process.

    Args:
        backbone: The classifier, with a head.
        datamodule: The data; its `limit` bounds the images.
        prototypes: The patches; None = no part purity.
        top: Number of units of largest weight that are the prototypes of a class (a reconstruction, see
            `class_prototypes`).
        patches: Number of patches per prototype, the strongest first.
        patch_size: Side that larger patches are cut to, 32 of 224 pixels.
        merge: Name shared by the parts that count as one in part purity; consistency and stability merge nothing.
        share: Denominator of a purity, see `functional.part_purity`.
        half: Half of the side of the box around the peak of a map, 36 of 224 pixels.
        consistency_threshold: Share of images in which a prototype has to lie on the same part.
        noise_std: Standard deviation of the noise for stability, on normalized images.
        noise_clip: Largest absolute value of this noise.
        size_threshold: Share of the largest weight, or contribution, above which a unit counts.
        purity_images: Number of strongest images per channel that channel purity uses.
        seed: Seed of the noise, which depends only on it and on the id of an image.
        progress: Whether to show a progress bar.

    Raises:
        InputError: The classifier has no head that explains itself; a patch of a sample that is not of the training
            split, or is among the images to evaluate; a size that is not positive.
    """
    head = backbone.head
    if not isinstance(head, Head):
        raise InputError("prototypes belong to the units of an interpretable head, and this model has none: attach one")
    datamodule.model_preprocessing = backbone.preprocessing
    datamodule.model_classes = backbone.num_classes
    datamodule.setup("predict")
    if datamodule.transform.preprocessing != backbone.preprocessing:
        raise InputError("the data module prepares images for another model: give a data module of its own to each")
    side = min(backbone.preprocessing.size)
    patch_size = round(PATCH * side / STANDARD) if patch_size is None else patch_size
    half = round(HALF * side / STANDARD) if half is None else half
    for name, value in (("top", top), ("patches", patches), ("patch_size", patch_size), ("half", half)):
        if value < 1:
            raise InputError(f"{name} is {value}: give 1 or more")
    settings = {
        "image_size": list(backbone.preprocessing.size),
        "crop_pct": backbone.preprocessing.crop_pct,
        "top": top,
        "patches": patches,
        "patch_size": patch_size,
        "merge": dict(merge),
        "share": share,
        "half": half,
        "consistency_threshold": consistency_threshold,
        "noise_std": noise_std,
        "noise_clip": noise_clip,
        "size_threshold": size_threshold,
        "purity_images": purity_images,
        "seed": seed,
    }
    names: tuple[str, ...] = ()
    purity = None
    if prototypes is not None:
        names, purity = _part_purity(datamodule, _strongest(prototypes, patches), patch_size, merge, share)
    device = next(backbone.parameters()).device
    with torch.no_grad():
        streamed = _Streamed(backbone, head, settings, Points(datamodule.explained, datamodule.transform))
        streamed.to(device)
    with progress_bar("Prototypes", progress) as tell, frozen(backbone), torch.no_grad():
        for done, batch in enumerate(datamodule.every_block()):
            streamed.update(batch._replace(images=backbone.ordered(batch.images.to(device))))
            tell(done + 1, datamodule.total_blocks)
    return streamed.scores(purity, names)


class Points:
    """Parts of the samples of a dataset on the model's input."""

    def __init__(self, dataset: ImageDataset, transform: Transform) -> None:
        self.dataset, self.transform = dataset, transform
        self.index = {name: number for number, name in enumerate(dataset.ids)}

    def of(self, sample: str) -> Keypoints | None:
        """None where they are not known."""
        found = self.dataset.parts(self.index[sample])
        if found is None:
            return None
        image = self.dataset.image(self.index[sample])
        return self.transform.keypoints(found, image.height, image.width)


class _Streamed:
    """All measures over a stream of batches."""

    def __init__(self, backbone: Backbone, head: Head, settings: dict[str, Any], points: Points) -> None:
        self.backbone, self.head, self.settings, self.points = backbone, head, settings, points
        weights = head.unit_weights()
        self.channels = weights is not None  # else units are no channels of a vector
        self.prototypes = class_prototypes(weights, head.units, head.num_classes, settings["top"])
        self.sizes = ExplanationSize(weights, head.units, settings["size_threshold"], **_ALONE)
        widths = (head.units, head.in_channels)  # units, and the features that they are made of
        self.sparsities = [ActivationSparsity(**_ALONE) for _ in widths]
        self.correlations = [ChannelCorrelation(width, **_ALONE) for width in widths] if self.channels else []
        self.purities = (
            [StrongestPurity(width, settings["purity_images"], **_ALONE) for width in widths] if self.channels else []
        )
        self.consistency: Consistency | None = None
        self.stability = Stability(self.prototypes, **_ALONE)
        self.images = self.annotated = self.failures = 0

    def to(self, device: torch.device) -> None:
        """Accumulate there."""
        for metric in (self.sizes, self.stability, *self.sparsities, *self.correlations, *self.purities):
            metric.to(device)

    def update(self, batch: Batch) -> None:
        self.failures += len(batch.failures)
        self.images += len(batch.images)
        if not len(batch.images):
            return
        features = self.backbone.features(batch.images).float()
        maps = self.head.activations(features)
        self.sizes.update(self.head.contributions(features))
        for sparsity, values in zip(self.sparsities, (maps, features)):
            sparsity.update(values)
        for correlation, purity, values in zip(self.correlations, self.purities, (maps, features)):
            correlation.update(signed_max(values))
            purity.update(values)
        self._locate(batch, maps)

    def _locate(self, batch: Batch, maps: Tensor) -> None:
        """Consistency and stability, of the images whose parts and label are known."""
        labelled = [i for i, label in enumerate(batch.labels.tolist()) if 0 <= label < self.head.num_classes]
        known = [(i, found) for i in labelled if (found := self.points.of(batch.ids[i])) is not None]
        if not known:
            return
        rows, device = [i for i, _ in known], maps.device
        xy = torch.stack([found.xy for _, found in known]).to(device)
        visible = torch.stack([found.visible for _, found in known]).to(device)
        labels = batch.labels[rows].to(device)
        clean = self._vectors(maps[rows], labels, xy, visible)
        images, ids = batch.images[rows], [batch.ids[i] for i in rows]
        noise = sample_noise(
            ids, images.shape[1:], self.settings["noise_std"], self.settings["noise_clip"], self.settings["seed"]
        )
        disturbed = self.backbone.ordered(images + noise.to(images))
        noisy = self._vectors(self.head.activations(self.backbone.features(disturbed).float()), labels, xy, visible)
        if self.consistency is None:
            parts, threshold = visible.shape[1], self.settings["consistency_threshold"]
            self.consistency = Consistency(self.prototypes, parts, threshold, **_ALONE).to(device)
        self.consistency.update(clean, visible, labels)
        self.stability.update(clean, noisy, labels)
        self.annotated += len(rows)

    def _vectors(self, maps: Tensor, labels: Tensor, xy: Tensor, visible: Tensor) -> Tensor:
        """Part vectors of the prototypes of the true class, ``(B, T, P)``."""
        units = self.prototypes.to(maps.device)[labels].clamp_min(0)
        rows = torch.arange(len(maps), device=maps.device)[:, None]
        size = self.backbone.preprocessing.size
        return part_vectors(maps[rows, units], xy, visible, size, self.settings["half"])

    def scores(self, purity: PartPurity | None, names: tuple[str, ...]) -> PrototypeScores:
        if not self.images:
            raise InputError("there are no images to evaluate prototypes on: check the arguments of the data")
        located = self.consistency is not None
        return PrototypeScores(
            images=self.images,
            annotated=self.annotated,
            failures=self.failures,
            units=self.head.units,
            part_purity=purity,
            part_names=names,
            consistency=float(self.consistency.compute()) if self.consistency is not None else None,
            stability=float(self.stability.compute()) if located else None,
            channel_purity=_compared(self.purities),
            rv=_compared(self.correlations),
            constant_channels=int(self.correlations[0].result().constant) if self.correlations else None,
            sizes=self.sizes.sizes(),
            sparsity=Compared(*(float(sparsity.compute()) for sparsity in self.sparsities)),
            histograms=Histograms(*(sparsity.histogram.cpu() for sparsity in self.sparsities)),
            settings=self.settings,
        )


def _compared(metrics: Sequence[StrongestPurity | ChannelCorrelation]) -> Compared | None:
    return Compared(*(float(metric.compute()) for metric in metrics)) if metrics else None


def _strongest(prototypes: PrototypePatches, count: int) -> PrototypePatches:
    """The first patches of each prototype."""
    seen: dict[int, int] = {}
    rows = []
    for row, unit in enumerate(prototypes.units.tolist()):
        seen[unit] = seen.get(unit, 0) + 1
        if seen[unit] <= count:
            rows.append(row)
    return PrototypePatches([prototypes.ids[row] for row in rows], prototypes.boxes[rows], prototypes.units[rows])


def _part_purity(
    datamodule: BlockDataModule, patches: PrototypePatches, size: int, merge: Mapping[str, str], share: Share
) -> tuple[tuple[str, ...], PartPurity | None]:
    """Names of the parts and the purity; nothing where the parts of the training images are not known."""
    points = Points(datamodule.dataset("train"), datamodule.transform)
    unknown = next((name for name in patches.ids if name not in points.index), None)
    if unknown is not None:
        raise InputError(
            f"prototypes: {unknown} is not a sample of the training split, and prototypes are patches of that split: "
            "give the data they were made from"
        )
    both = next((name for name in datamodule.explained.ids if name in points.index), None)
    if both is not None:
        raise InputError(f"prototypes: {both} is also among the images to evaluate: set data.split to test")
    places = {name: points.of(name) for name in dict.fromkeys(patches.ids)}
    found = [place for name in patches.ids if (place := places[name]) is not None]
    if not found or len(found) < len(patches.ids):
        return (), None
    names, into = merged_names(found[0].names, merge)
    xy, visible = torch.stack([place.xy for place in found]), torch.stack([place.visible for place in found])
    inside = parts_inside(centre_cropped(patches.boxes, size), xy, visible)
    return names, part_purity(merge_parts(inside, into), merge_parts(visible, into), patches.units, share)
