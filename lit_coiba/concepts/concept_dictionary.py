"""The concepts of all classes at one layer: what a trained sparse autoencoder is used for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from lit_coiba.bottlenecks.statistics import images_of
from lit_coiba.concepts.dictionary_file import DIGEST, FREQUENCY, HEADER, DictionaryHeader, read_dictionary_file
from lit_coiba.concepts.importance import Estimator, Importance
from lit_coiba.concepts.layer_concepts import LayerConcepts
from lit_coiba.concepts.sparse_autoencoder import SparseAutoencoder
from lit_coiba.core.batched_evaluator import Chunk
from lit_coiba.core.errors import InputError, check_count
from lit_coiba.core.network import Network
from lit_coiba.core.printable import printable
from lit_coiba.files.tensor_file import digest_of_tensors, write_safe_tensors
from lit_coiba.functional.strongest import Strongest, merge_strongest, strongest


@dataclass(frozen=True, eq=False)
class ConceptDictionary(LayerConcepts):
    """Concepts of all classes at one layer, by a sparse autoencoder.

    `transform` gives their coefficients in new images, `maps` the same as maps, `importance` says how much they matter
    for a class, `strongest` where they are strongest, and `network` is what attribution methods explain.
    """

    about: DictionaryHeader  # the model, the layer, and how good the dictionary is
    autoencoder: SparseAutoencoder  # of activations in their own unit
    frequency: Tensor  # (r,) float32: share of the rows of training or validation in which a concept is active

    dictionary: Tensor = field(init=False)  # (r, c) float32: a concept of length 1 in each row

    def __post_init__(self) -> None:
        object.__setattr__(self, "dictionary", self.autoencoder.dictionary.detach())

    def layer(self) -> DictionaryHeader:
        """What they are of."""
        return self.about

    def encoder(self) -> SparseAutoencoder:
        """How activations become coefficients."""
        return self.autoencoder

    def encode(self, rows: Tensor) -> Tensor:
        """Coefficients ``(N, r)`` of activations ``(N, c)`` of the layer."""
        return self.autoencoder.encode(rows)

    def decode(self, coefficients: Tensor) -> Tensor:
        """Activations ``(N, c)`` that coefficients ``(N, r)`` stand for."""
        return self.autoencoder.decode(coefficients)

    def importance(
        self,
        model: Network,
        images: Iterable[Any],
        cls: int,
        n_samples: int = 128,
        estimator: Estimator = "jansen",
        seed: int = 0,
        closed_form: bool = True,
        chunk: Chunk = "auto",
    ) -> Importance:
        """How much each concept matters for the logit of a class, over the images that the model gives this class.

        See `Concepts.importance`. Shares are of what the concepts add to the logit of the autoencoder's bias.

        Args:
            model: The model, left as it was.
            images: Any iterable of image tensors, ``(images, ...)`` tuples or `Batch`; or one tensor ``(B, 3, H, W)``.
            cls: Number of the class.
            n_samples: Number of points of the Sobol design, a power of two; ``n_samples (r + 1)`` runs of the network
                above the layer for each image whose logit is not additive, which for many concepts are many.
            estimator: ``jansen``, ``janon`` or ``saltelli``.
            seed: Seed of the designs; each image has one of its own.
            closed_form: Whether to use the closed form where the logit is additive.
            chunk: Number of masked activations at once.

        Raises:
            InputError: The concepts are not of `model`, or it gives none of the images the class.
        """
        return self._importance(model, images, cls, n_samples, estimator, seed, closed_form, chunk)

    def strongest(self, model: Network, images: Iterable[Any], count: int = 10) -> Strongest:
        """Images of a stream that show each concept most, and where; an image comes once.

        Args:
            model: The model, left as it was.
            images: As for `importance`; read once, in memory that does not grow with their number.
            count: Number of images for each concept.

        Returns:
            Coefficients, numbers of images and cells of the layer's grid, ``(r, count)`` each, the strongest first;
            -inf and -1 where a concept is active in fewer images.

        Raises:
            InputError: The concepts are not of `model`, or there is no image.
        """
        check_count(count=count)
        device = next((weights.device for weights in model.parameters()), torch.device("cpu"))
        best: Strongest | None = None
        start = 0
        for batch in images_of(images):
            found = self.transform(model, batch.to(device))
            found = found.masked_fill(found <= 0, -torch.inf)
            numbers = torch.arange(start, start + len(batch), device=device)
            later = strongest(found, numbers, count)
            best, start = later if best is None else merge_strongest(best, later), start + len(batch)
        if best is None:
            raise InputError("images is empty: give at least one image")
        return Strongest(*(part[0] for part in best))

    def digest(self) -> str:
        """SHA-256 over all numbers, and what they are of."""
        return digest_of_tensors(msgspec.json.encode(self.about), dict(sorted(self._tensors().items())))

    def save(self, file: str | Path) -> None:
        """Write a safetensors file, which takes its name when it is complete.

        Args:
            file: The file; its folder is made where there is none.

        Raises:
            OSError: The disk is full, the folder is read-only, ...
        """
        metadata = {HEADER: msgspec.json.encode(self.about).decode(), DIGEST: self.digest()}
        write_safe_tensors(file, self._tensors(), metadata)

    @classmethod
    def load(cls, file: str | Path) -> ConceptDictionary:
        """Read what `save` wrote.

        Raises:
            InputError: There is no such file, or it is not a file of a concept dictionary.
        """
        about, autoencoder, frequency, digest = read_dictionary_file(file)
        found = cls(about, autoencoder, frequency)
        if digest != found.digest():
            raise InputError(
                f"concept dictionary {printable(file, 200)} is damaged, since its content is not what its digest says:"
                " train it again"
            )
        return found

    def _tensors(self) -> dict[str, Tensor]:
        parts = {**self.autoencoder.state_dict(), FREQUENCY: self.frequency}
        return {name: tensor.detach().cpu() for name, tensor in parts.items()}
