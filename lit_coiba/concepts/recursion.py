"""Concepts split into the concepts of earlier layers: the recursion of CRAFT.

Fel et al., "CRAFT: Concept Recursive Activation FacTorization for Explainability", CVPR 2023 (arXiv 2211.10154).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lit_coiba.concepts.concepts import Concepts
from lit_coiba.concepts.craft import CRAFT, Collected
from lit_coiba.concepts.nmf import NMF
from lit_coiba.core.errors import InputError
from lit_coiba.core.network import Network

CROPS_PER_CONCEPT = 5  # below which a concept is not split


class ConceptTree(NamedTuple):
    """Concepts at one layer, and what each of them is made of at the layer before."""

    concepts: Concepts  # `about.path` says of which concept they are parts
    children: dict[int, ConceptTree]  # concept -> its parts
    whole: dict[int, str]  # concept -> why it was not split

    def nodes(self) -> Iterator[Concepts]:
        """The concepts of all nodes, this one first."""
        yield self.concepts
        for child in self.children.values():
            yield from child.nodes()


def concept_tree(
    craft: CRAFT,
    model: Network,
    images: Iterable[Any],
    cls: int,
    layers: Sequence[str],
    quantile: float = 0.9,
    least_gain: float = 0.05,
) -> ConceptTree:
    """Concepts of a class at one layer, split again at earlier ones.

    A concept is split where it is strongest: the activations at the earlier layer of those crops are factorized in the
    same way. The stream of images is read once. A concept stays whole at the last layer, where fewer than 5 crops for
    each part are left, or where parts reconstruct these crops hardly better than a single concept does.

    Args:
        craft: How concepts are found; `tokens` is False, and its layer is not used.
        model: The model, left as it was.
        images: As for `CRAFT.fit`.
        cls: Number of the class.
        layers: Layers from that of the root to earlier ones.
        quantile: Quantile of a concept's coefficients from which on a crop belongs to it (ours).
        least_gain: Share of the relative error of a single concept by which parts have to lower it.

    Raises:
        InputError: There is no layer, one is given twice or lies above the one before it; rows are tokens; a number is
            outside its range; or as for `CRAFT.fit`.
    """
    if craft.tokens:
        raise InputError("tokens is True, and positions of two layers do not correspond: split concepts of crops")
    for name, value in (("quantile", quantile), ("least_gain", least_gain)):
        if not 0 <= value < 1:
            raise InputError(f"{name} is {value}: give a number from 0 to 1, below 1")
    order = {layer: number for number, layer in enumerate(model.layers())}
    depths = [order.get(layer, -1) for layer in layers]
    if not layers or any(later >= before >= 0 for before, later in pairwise(depths)):
        raise InputError(f"layers is {list(layers)}: give one at least, from the concepts' layer to earlier ones")
    found = craft.collect(model, images, cls, layers)
    return _Splitter(craft, model, found, tuple(layers), quantile, least_gain).root()


class _Splitter:
    """What is the same for all nodes of a tree."""

    def __init__(
        self,
        craft: CRAFT,
        model: Network,
        found: Collected,
        layers: tuple[str, ...],
        quantile: float,
        least_gain: float,
    ) -> None:
        self._craft, self._model, self._found, self._layers = craft, model, found, layers
        self._quantile, self._least_gain = quantile, least_gain
        self._factorization = craft.factorization or NMF()
        self._single = copy.copy(self._factorization)
        self._single.n_concepts = 1

    def root(self) -> ConceptTree:
        concepts = self._craft.factorize(self._model, self._found, self._layers[0])
        return self._node(concepts, torch.arange(len(concepts.coefficients)), 0)

    def _node(self, concepts: Concepts, rows: Tensor, depth: int) -> ConceptTree:
        """A node whose concepts are of the rows with these numbers."""
        children: dict[int, ConceptTree] = {}
        whole: dict[int, str] = {}
        for concept in range(len(concepts)):
            split = self._split(concepts, rows, depth, concept)
            if isinstance(split, str):
                whole[concept] = split
            else:
                children[concept] = split
        return ConceptTree(concepts, children, whole)

    def _split(self, concepts: Concepts, rows: Tensor, depth: int, concept: int) -> ConceptTree | str:
        """The parts of one concept, or why it stays whole."""
        if depth + 1 == len(self._layers):
            return "it is at the last of the layers"
        values = concepts.coefficients[:, concept]
        strong = ((values >= values.quantile(self._quantile)) & (values > 0)).nonzero().flatten()
        wanted = CROPS_PER_CONCEPT * self._factorization.n_concepts
        if len(strong) < wanted:
            return f"{len(strong)} crops show it, and {wanted} are needed"
        chosen = rows[strong]
        layer, path = self._layers[depth + 1], (*concepts.about.path, (concepts.about.layer, concept))
        parts = self._craft.factorize(self._model, self._found, layer, chosen, path)
        alone = self._single.fit(self._found.rows[layer].values[chosen], layer).error
        if alone == 0 or 1 - parts.about.error / alone < self._least_gain:
            return f"relative error {parts.about.error:.3f} in parts, {alone:.3f} as one concept: hardly a gain"
        return self._node(parts, chosen, depth + 1)
