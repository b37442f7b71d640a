"""Concepts of one layer of a model, whatever found them: what can be asked of all of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Protocol

import torch
from torch import Tensor

from lit_coiba.bottlenecks.statistics import describe_preprocessing
from lit_coiba.concepts.concept_network import ConceptNetwork
from lit_coiba.concepts.encoding import Encoding
from lit_coiba.concepts.images_of_class import images_of_class
from lit_coiba.concepts.importance import Estimator, Importance, check_design, class_importance, image_importance
from lit_coiba.concepts.lowered import Lowered
from lit_coiba.concepts.masked_concepts import MaskedConcepts
from lit_coiba.concepts.sparse_autoencoder import SparseAutoencoder
from lit_coiba.core.batched_evaluator import BatchedEvaluator, Chunk
from lit_coiba.core.errors import InputError
from lit_coiba.core.frozen import frozen
from lit_coiba.core.images import check_images
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Class
from lit_coiba.functional import resize_map

_IMAGES = 16  # whose masks are made at once


class AboutLayer(Protocol):
    """What all concepts of a layer say of themselves."""

    @property
    def layer(self) -> str:
        """The layer, by its name in the model."""

    @property
    def model(self) -> str:
        """Digest of architecture and weights."""

    @property
    def preprocessing(self) -> str:
        """That of the model, as JSON."""


class LayerConcepts(ABC):
    """A dictionary of concepts of one layer.

    `transform` gives their coefficients in new images, `maps` the same as maps, `network` is what attribution methods
    explain.
    """

    dictionary: Tensor  # (r, c) float32: a concept in each row

    @abstractmethod
    def layer(self) -> AboutLayer:
        """What the concepts are of."""

    @abstractmethod
    def encoder(self) -> Encoding | SparseAutoencoder:
        """How activations become coefficients."""

    @abstractmethod
    def encode(self, rows: Tensor) -> Tensor:
        """Coefficients ``(N, r)`` of activations ``(N, c)`` of the layer."""

    @abstractmethod
    def decode(self, coefficients: Tensor) -> Tensor:
        """Activations ``(N, c)`` that coefficients ``(N, r)`` stand for."""

    def __len__(self) -> int:
        return len(self.dictionary)

    def check(self, model: Network) -> None:
        """Refuse another model than the one that the concepts are of.

        Raises:
            InputError: The weights, the architecture or the preprocessing differ.
        """
        about, digest, here = self.layer(), model.digest(), describe_preprocessing(model)
        if digest != about.model:
            raise InputError(
                f"the concepts belong to another model or other weights (digest {about.model[:12]}, not"
                f" {digest[:12]}): fit them again"
            )
        if here != about.preprocessing:
            raise InputError(
                f"the concepts were found with another preprocessing ({about.preprocessing}, not {here}): fit them"
                " again"
            )

    def network(self, model: Network) -> ConceptNetwork:
        """The model up to the layer, then coefficients ``(B, r)``: what any attribution method explains.

        ``Saliency().attribute(concepts.network(model), images, Concept(3))`` is a map of the fourth concept.

        Raises:
            InputError: The concepts are not of `model`.
        """
        self.check(model)
        return ConceptNetwork(model, self.layer().layer, self.dictionary, self.encoder())

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
        return resize_map(found.flatten(0, 1), size, model.places(self.layer().layer)).unflatten(0, found.shape[:2])

    def _importance(
        self,
        model: Network,
        images: Iterable[Any],
        cls: int,
        n_samples: int,
        estimator: Estimator,
        seed: int,
        closed_form: bool,
        chunk: Chunk,
    ) -> Importance:
        """How much each concept matters for the logit of a class, over the images that the model gives the class."""
        check_design(n_samples, estimator)
        network, evaluator = self.network(model), BatchedEvaluator(chunk)
        parts: list[tuple[Tensor, ...]] = []
        with frozen(model):
            for found in images_of_class(model, images, cls):
                if not len(found.images):
                    continue
                for rows in torch.arange(len(found.images)).split(_IMAGES):
                    targets = Class(cls).resolve(found.logits[rows])
                    masked = MaskedConcepts(Lowered.of(network, found.images[rows]), targets, evaluator)
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
                f"the model gives none of the images the class {cls}, for which concepts matter here: give others"
            )
        return class_importance(*(torch.cat(column) for column in zip(*parts)))
