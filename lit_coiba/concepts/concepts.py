"""The concepts of one class at one layer of a model: what `CRAFT.fit` finds, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from torch import Tensor

from lit_coiba.concepts.concepts_file import DIGEST, HEADER, TENSORS, Header, read_concepts_file
from lit_coiba.concepts.encoding import Encoding, encode
from lit_coiba.concepts.importance import Estimator, Importance
from lit_coiba.concepts.layer_concepts import LayerConcepts
from lit_coiba.core.batched_evaluator import Chunk
from lit_coiba.core.errors import InputError, check_count
from lit_coiba.core.network import Network
from lit_coiba.core.printable import printable
from lit_coiba.files.tensor_file import digest_of_tensors, write_safe_tensors


@dataclass(frozen=True, eq=False)
class Concepts(LayerConcepts):
    """Concepts of one class at one layer, and the rows that they were found in.

    `transform` gives their coefficients in new images, `maps` the same as maps, `importance` says how much they matter
    for the class, and `network` is what attribution methods explain.
    """

    about: Header  # the model, layer, class and fit that they are of
    dictionary: Tensor  # (r, c) float32: a concept in each row
    coefficients: Tensor  # (N, r) float32: of the rows that were factorized
    images: Tensor  # (N,) int64: image of each row, by its number among those that were given
    places: Tensor  # (N,) int64: crop of that image, or position of the layer's grid, row by row

    def layer(self) -> Header:
        """What they are of."""
        return self.about

    def encoder(self) -> Encoding:
        """How activations become coefficients."""
        return self.about.encoding

    def encode(self, rows: Tensor) -> Tensor:
        """Coefficients ``(N, r)`` of activations ``(N, c)`` of the layer."""
        return encode(rows, self.dictionary, self.about.encoding)

    def decode(self, coefficients: Tensor) -> Tensor:
        """Activations ``(N, c)`` that coefficients ``(N, r)`` stand for."""
        return coefficients @ self.dictionary.to(coefficients)

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
        return self._importance(model, images, self.about.cls, n_samples, estimator, seed, closed_form, chunk)

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
        return digest_of_tensors(msgspec.json.encode(self.about), {name: getattr(self, name) for name in TENSORS})

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
