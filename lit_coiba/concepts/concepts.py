"""The concepts of one class at one layer of a model: what `CRAFT.fit` finds, and what can be asked of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from lit_coiba.bottlenecks.statistics import describe_preprocessing
from lit_coiba.concepts.concept_network import ConceptNetwork
from lit_coiba.concepts.concepts_file import DIGEST, HEADER, TENSORS, Header, read_concepts_file
from lit_coiba.concepts.images_of_class import images_of_class
from lit_coiba.concepts.importance import Estimator, Importance, check_design, class_importance, image_importance
from lit_coiba.concepts.masked_concepts import MaskedConcepts
from lit_coiba.core.batched_evaluator import BatchedEvaluator, Chunk
from lit_coiba.core.errors import InputError, check_count
from lit_coiba.core.frozen import frozen
from lit_coiba.core.images import check_images
from lit_coiba.core.network import Network
from lit_coiba.core.printable import printable
from lit_coiba.core.targets import Class
from lit_coiba.files.tensor_file import write_safe_tensors
from lit_coiba.functional import resize_map

_IMAGES = 16  # whose masks are made at once


@dataclass(frozen=True, eq=False)
class Concepts:
    """Concepts of one class at one layer, and the rows that they were found in.

    `transform` gives their coefficients in new images, `maps` the same as maps, `importance` says how much they matter
    for the class, and `network` is what attribution methods explain.
    """

    about: Header  # the model, layer, class and fit that they are of
    dictionary: Tensor  # (r, c) float32: a concept in each row
    coefficients: Tensor  # (N, r) float32: of the rows that were factorized
    images: Tensor  # (N,) int64: image of each row, by its number among those that were given
    places: Tensor  # (N,) int64: crop of that image, or position of the layer's grid, row by row

    def __len__(self) -> int:
        return len(self.dictionary)

    def check(self, model: Network) -> None:
        """Refuse another model than the one that the concepts are of.

        Raises:
            InputError: The weights, the architecture or the preprocessing differ.
        """
        digest, here = model.digest(), describe_preprocessing(model)
        if digest != self.about.model:
            raise InputError(
                f"the concepts belong to another model or other weights (digest {self.about.model[:12]}, not"
                f" {digest[:12]}): fit them again"
            )
        if here != self.about.preprocessing:
            raise InputError(
                f"the concepts were found with another preprocessing ({self.about.preprocessing}, not {here}): fit them"
                " again"
            )

    def network(self, model: Network) -> ConceptNetwork:
        """The model up to the layer, then coefficients ``(B, r)``: what any attribution method explains.

        ``Saliency().attribute(concepts.network(model), images, Concept(3))`` is a map of the fourth concept.

        Raises:
            InputError: The concepts are not of `model`.
        """
        self.check(model)
        return ConceptNetwork(model, self.about.layer, self.dictionary, self.about.encoding)

    def transform(self, model: Network, images: Tensor) -> Tensor:
        """Coefficients of new images at each place of the layer, ``(B, r, h, w)``, detached.

        The fit may have seen crops, each averaged over the layer's places; here each place is encoded by itself.

        Args:
            model: The model, left as it was.
            images: Normalized model input, ``(B, 3, H, W)``.

        Raises:
            InputError: The concepts are not of `model`, or the images do not fit it.
        """
        network = self.network(model)
        check_images(model, images)
        with frozen(model), torch.no_grad():
            found: Tensor = BatchedEvaluator().gather(images, 1, lambda _, rows: network.features(images[rows])[None])
        return found[0]

    def maps(self, model: Network, images: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """Concept maps: the coefficients at each place, ``(B, r, H, W)``, bilinear as other maps are.

        Args:
            model: The model, left as it was.
            images: Normalized model input, ``(B, 3, H, W)``.
            size: H and W; None = those of the images.

        Raises:
            InputError: The concepts are not of `model`, or the images do not fit it.
        """
        found = self.transform(model, images)
        size = (images.shape[-2], images.shape[-1]) if size is None else size
        return resize_map(found.flatten(0, 1), size, model.places(self.about.layer)).unflatten(0, found.shape[:2])

    def importance(
        self,
        model: Network,
        images: Iterable[Any],
        n_samples: int = 128,
        estimator: Estimator = "jansen",
        seed: int = 0,
        closed_form: bool = True,
        chunk: Chunk = "auto",
    ) -> Importance:
        """How much each concept matters for the logit of the class, over the images that the model gives the class.

        An index is unsigned: a concept that lowers the logit counts like one that raises it, and `sign` tells the two
        apart. Derivatives, signs and shares are those at what the concepts reconstruct, and exact shares of the logit
        where it is additive in the concepts (global average pooling and a linear layer above).

        Args:
            model: The model, left as it was.
            images: Any iterable of image tensors, ``(images, ...)`` tuples or `Batch`; or one tensor ``(B, 3, H, W)``.
            n_samples: Number of points of the Sobol design, a power of two; ``n_samples (r + 1)`` runs of the network
                above the layer for each image whose logit is not additive.
            estimator: ``jansen``, ``janon`` or ``saltelli``.
            seed: Seed of the designs; each image has one of its own.
            closed_form: Whether to use the closed form where the logit is additive.
            chunk: Number of masked activations at once.

        Raises:
            InputError: The concepts are not of `model`, or it gives none of the images the class.
        """
        check_design(n_samples, estimator)
        network, evaluator = self.network(model), BatchedEvaluator(chunk)
        parts: list[tuple[Tensor, ...]] = []
        with frozen(model):
            for found in images_of_class(model, images, self.about.cls):
                for rows in torch.arange(len(found.images)).split(_IMAGES):
                    targets = Class(self.about.cls).resolve(found.logits[rows])
                    masked = MaskedConcepts(network, found.images[rows], targets, evaluator)
                    small = masked.derivatives()
                    one = image_importance(
                        masked.score,
                        small.masks,
                        n_samples,
                        estimator,
                        seed,
                        closed_form,
                        found.numbers[rows].tolist(),
                    )
                    parts.append((one.total, small.coefficients.cpu(), small.masks.cpu(), one.additive))
        if not parts:
            raise InputError(
                f"the model gives none of the images the class {self.about.cls}, whose concepts these are: give others"
            )
        return class_importance(*(torch.cat(column) for column in zip(*parts)))

    def strongest(self, concept: int, count: int = 10) -> Tensor:
        """Rows that show a concept most, ``(count,)`` int64 at most, strongest first: numbers into `images`, `places`.

        Raises:
            InputError: There is no such concept.
        """
        check_count(0, concept=concept)
        check_count(count=count)
        if concept >= len(self):
            raise InputError(f"concept {concept} does not exist: give 0 to {len(self) - 1}")
        found = self.coefficients[:, concept].sort(descending=True, stable=True)
        return found.indices[:count][found.values[:count] > 0]

    def digest(self) -> str:
        """SHA-256 over all numbers, and what they are of."""
        sha = hashlib.sha256(msgspec.json.encode(self.about))
        for name in TENSORS:
            tensor = getattr(self, name)
            sha.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            sha.update(tensor.contiguous().numpy().tobytes())
        return sha.hexdigest()

    def save(self, file: str | Path) -> None:
        """Write a safetensors file, which takes its name when it is complete.

        Args:
            file: The file; its folder is made where there is none.

        Raises:
            OSError: The disk is full, the folder is read-only, ...
        """
        metadata = {HEADER: msgspec.json.encode(self.about).decode(), DIGEST: self.digest()}
        write_safe_tensors(file, {name: getattr(self, name) for name in TENSORS}, metadata)

    @classmethod
    def load(cls, file: str | Path) -> Concepts:
        """Read what `save` wrote.

        Raises:
            InputError: There is no such file, or it is not a file of concepts.
        """
        about, tensors, digest = read_concepts_file(file)
        found = cls(about, **tensors)
        if digest != found.digest():
            raise InputError(
                f"concepts: {printable(file, 200)} is damaged, since its content is not what its digest says: fit them"
                " again"
            )
        return found
