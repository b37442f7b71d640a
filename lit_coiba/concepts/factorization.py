"""What every factorization has in common: rows of activations as sums of a few dictionary rows, the concepts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple, final

from torch import Tensor

from lit_coiba.concepts.encoding import Encoding, encode
from lit_coiba.concepts.quality import relative_error
from lit_coiba.core.arguments import checks_arguments
from lit_coiba.core.errors import InputError, check_count


class Factors(NamedTuple):
    """``activations ~ coefficients @ dictionary``."""

    coefficients: Tensor  # (N, r) float32
    dictionary: Tensor  # (r, c) float32, a concept in each row, of length 1 unless it is a centroid
    error: float  # relative reconstruction error, ||A - U W|| / ||A||
    encoding: Encoding = "nnls"  # how other activations become coefficients

    def encode(self, rows: Tensor) -> Tensor:
        """Coefficients ``(N, r)`` of other activations ``(N, c)``."""
        return encode(rows, self.dictionary, self.encoding)

    def decode(self, coefficients: Tensor) -> Tensor:
        """Activations ``(N, c)`` that coefficients ``(N, r)`` stand for."""
        return coefficients @ self.dictionary.to(coefficients)


class Factorization(ABC):
    """A way to find a dictionary of concepts in activations.

    A concrete factorization implements `_fit` and says how rows are encoded with its dictionary once that is fixed.
    """

    encoding: ClassVar[Encoding] = "nnls"
    n_concepts: int
    seed: int

    @final
    def fit(self, activations: Tensor, layer: str = "", seed: int | None = None) -> Factors:
        """Find concepts.

        Args:
            activations: A, ``(N, c)``.
            layer: Name of the layer that they are of, for messages.
            seed: Seed in the place of the factorization's own.

        Returns:
            Factors on the device of `activations`. Dictionary rows have length 1, so that the coefficients of all
            concepts have the unit of the activations; those of k-means stay the centroids that they are.

        Raises:
            InputError: There are fewer rows than concepts, numbers that are not finite, nothing but zeros, or, for a
                factorization that does not take these, negative activations.
        """
        where = f" of layer {layer}" if layer else ""
        if activations.dim() != 2 or not activations.is_floating_point():
            raise InputError(
                f"activations is {activations.dtype} of shape {tuple(activations.shape)}: give floating-point numbers"
                " (N, c), a row for each crop or token"
            )
        if len(activations) < self.n_concepts:
            raise InputError(
                f"there are {len(activations)} rows of activations{where} for {self.n_concepts} concepts: give more"
                " images, or a smaller n_concepts"
            )
        if not activations.isfinite().all():
            raise InputError(f"the activations{where} have NaN or infinities: check the weights and the normalization")
        if not activations.any():
            raise InputError(f"all activations{where} are zero, so there is no concept in them: choose another layer")
        activations = activations.detach()
        coefficients, dictionary = self._fit(activations, where, self.seed if seed is None else seed)
        if self.encoding != "nearest":
            lengths = dictionary.norm(dim=1)
            coefficients = coefficients * lengths
            dictionary = dictionary / lengths.masked_fill(lengths == 0, 1.0).unsqueeze(1)
        coefficients, dictionary = (part.to(activations.device).float() for part in (coefficients, dictionary))
        error = float(relative_error(activations, coefficients, dictionary))
        return Factors(coefficients, dictionary, error, self.encoding)

    @abstractmethod
    def _fit(self, activations: Tensor, where: str, seed: int) -> tuple[Tensor, Tensor]:
        """Coefficients ``(N, r)`` and dictionary ``(r, c)``.

        Args:
            activations: ``(N, c)``, finite, with at least r rows.
            where: Layer, for messages, such as `` of layer layer4``; may be empty.
            seed: Seed of all random draws.
        """

    def _check(self) -> None:
        check_count(n_concepts=self.n_concepts)
        check_count(0, seed=self.seed)

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        checks_arguments(cls)
