"""CRAFT: concepts of a class, found by factorizing the activations of crops.

Fel et al., "CRAFT: Concept Recursive Activation FacTorization for Explainability", CVPR 2023 (arXiv 2211.10154).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lit_coiba.bottlenecks.statistics import describe_preprocessing
from lit_coiba.concepts.concepts import Concepts
from lit_coiba.concepts.concepts_file import Header
from lit_coiba.concepts.crops import crop_boxes, default_crop_size
from lit_coiba.concepts.factorization import Factorization
from lit_coiba.concepts.images_of_class import images_of_class
from lit_coiba.concepts.nmf import NMF
from lit_coiba.concepts.row_sample import Rows, RowSample
from lit_coiba.concepts.rows import activation_rows
from lit_coiba.core.arguments import checks_arguments
from lit_coiba.core.class_identity import class_identity, kept_arguments
from lit_coiba.core.errors import InputError, check_count
from lit_coiba.core.frozen import frozen
from lit_coiba.core.network import Network
from lit_coiba.prototypes.patches import Box


class Collected(NamedTuple):
    """Rows of the images of a class, the same ones at each layer."""

    rows: dict[str, Rows]  # by layer
    cls: int
    crop_size: int  # in pixels; 0 = rows are positions
    seen: int  # images that were given
    used: int  # those that the model gives the class


@checks_arguments
class CRAFT:
    """Finds the concepts of one class of a model at one layer.

    Images that the model gives the class are cut into crops, each of which is enlarged to a whole input; the layer's
    activations, averaged over places, are factorized. Of a transformer every token can be a row instead. The stream of
    images is read once, in bounded memory.

    Args:
        factorization: Factorization of the activations; None = `NMF` with 20 concepts, which needs a layer behind a
            ReLU. `SemiNMF` takes all layers.
        layer: Layer on a grid, by its name in the model; None = that of class activation maps.
        crop_size: Side of the square crops in pixels; they overlap by a fifth. None = 64 of 224 pixels, in proportion.
        tokens: Whether the rows are the layer's positions in whole images, in the place of crops: what tokens see is
            local already.
        max_rows: Number of rows to factorize at most; of more a random sample is kept.
        batch_size: Number of crops that run at once.
        seed: Seed of the sample.

    Raises:
        InputError: A number outside its range.

    Example:
        >>> from lit_coiba.backbones import Backbone
        >>> sizes = {"layers": [1, 1, 1, 1], "channels": (4, 4, 4, 8)}
        >>> backbone = Backbone("resnet18", timm_kwargs=sizes, image_size=64, num_classes=1).eval()
        >>> images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        >>> concepts = CRAFT(NMF(3), layer="layer4").fit(backbone, images, cls=0)
        >>> len(concepts), concepts.transform(backbone, images).shape
        (3, torch.Size([2, 3, 2, 2]))
    """

    def __init__(
        self,
        factorization: Factorization | None = None,
        layer: str | None = None,
        crop_size: int | None = None,
        tokens: bool = False,
        max_rows: int = 100_000,
        batch_size: int = 64,
        seed: int = 0,
    ) -> None:
        if factorization is not None and not isinstance(factorization, Factorization):
            raise InputError(f"factorization is {factorization!r}: give an object, such as NMF(20) or SemiNMF(20)")
        if tokens and crop_size is not None:
            raise InputError("crop_size and tokens are both set: rows are either crops or the layer's positions")
        if crop_size is not None:
            check_count(crop_size=crop_size)
        check_count(max_rows=max_rows, batch_size=batch_size)
        check_count(0, seed=seed)
        self.factorization = factorization
        self.layer = layer
        self.crop_size = crop_size
        self.tokens = tokens
        self.max_rows = max_rows
        self.batch_size = batch_size
        self.seed = seed

    def fit(self, model: Network, images: Iterable[Any], cls: int) -> Concepts:
        """Find the concepts of a class.

        Args:
            model: The model, left as it was: a `Backbone` or a trained classifier.
            images: Any iterable of image tensors, ``(images, ...)`` tuples or `Batch`; or one tensor ``(B, 3, H, W)``.
                Those that the model does not give the class are left out; some hundreds of it are usual.
            cls: Number of the class.

        Returns:
            The concepts, and the coefficients of the rows that they were found in.

        Raises:
            InputError: The model gives none of the images the class, or there are too few rows, or activations that
                the factorization does not take.
        """
        found = self.collect(model, images, cls, [self.layer or model.cam_layer()])
        (layer,) = found.rows
        return self.factorize(model, found, layer)

    def collect(self, model: Network, images: Iterable[Any], cls: int, layers: Sequence[str]) -> Collected:
        """The rows that would be factorized, of the same crops at each of several layers.

        Args:
            model: The model, left as it was.
            images: As for `fit`; read once.
            cls: Number of the class.
            layers: Layers on a grid, by name.

        Raises:
            InputError: The model gives none of the images the class, or a layer cannot be used.
        """
        samples = {layer: RowSample(self.max_rows, self.seed) for layer in layers}
        seen = used = 0
        with frozen(model), torch.no_grad():
            splits = {layer: model.split([layer]) for layer in layers}
            side, boxes = self._boxes(model)
            for found in images_of_class(model, images, cls):
                seen, used = seen + found.seen, used + len(found.images)
                for layer, sample in samples.items():
                    if len(found.images):
                        rows = activation_rows(splits[layer], found.images, boxes, self.batch_size)
                        sample.add(rows, found.numbers)
        kept = {layer: known for layer, sample in samples.items() if (known := sample.rows()) is not None}
        if len(kept) < len(samples):
            given = f"none of the {seen} images" if seen else "no image: there is none"
            raise InputError(
                f"the model gives class {cls} to {given}: give images that it predicts to be of this class"
            )
        return Collected(kept, cls, side, seen, used)

    def factorize(
        self,
        model: Network,
        found: Collected,
        layer: str,
        chosen: Tensor | None = None,
        path: tuple[tuple[str, int], ...] = (),
    ) -> Concepts:
        """The concepts of rows that `collect` has found.

        Args:
            model: The model.
            found: The rows.
            layer: One of their layers.
            chosen: Numbers of the rows to factorize; None = all.
            path: Layers and concepts that these are parts of.

        Raises:
            InputError: There are too few rows, or activations that the factorization does not take.
        """
        rows, factorization = found.rows[layer], self.factorization or NMF()
        if chosen is not None:
            rows = Rows(*(part[chosen] for part in rows))
        device = next((weights.device for weights in model.parameters()), torch.device("cpu"))
        factors = factorization.fit(rows.values.to(device), layer)
        described = {"class": class_identity(type(factorization)), **kept_arguments(factorization)}
        about = Header(
            layer=layer,
            cls=found.cls,
            model=model.digest(),
            preprocessing=describe_preprocessing(model),
            factorization=json.dumps(described),
            encoding=factorization.encoding,
            crop_size=found.crop_size,
            seen=found.seen,
            used=found.used,
            error=factors.error,
            path=path,
        )
        return Concepts(about, factors.dictionary.cpu(), factors.coefficients.cpu(), rows.images, rows.places)

    def _boxes(self, model: Network) -> tuple[int, list[Box]]:
        """Side and boxes of the crops; 0 and none where rows are positions."""
        if self.tokens:
            return 0, []
        height, width = model.preprocessing.size
        side = self.crop_size or default_crop_size((height, width))
        return side, crop_boxes((height, width), side)
