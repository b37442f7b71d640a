"""A network that ends in concepts: from images to coefficients, for whatever explains networks."""

from __future__ import annotations

import copy
import hashlib
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from lit_coiba.concepts.encoding import Encoding, encode
from lit_coiba.concepts.sparse_autoencoder import SparseAutoencoder
from lit_coiba.core.behavior import Behavior, behavior_of
from lit_coiba.core.errors import InputError
from lit_coiba.core.grid import Grid
from lit_coiba.core.network import Edit, Network, SplitNetwork, State
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.functional import Places


class ConceptNetwork(nn.Module):
    """A model up to one layer, then the coefficients of concepts there; a `Network` like the model itself.

    Its outputs ``(B, r)`` are means over the layer's places of the coefficients, which are encoded place by place, with
    exact gradients. So any attribution method explains a concept, as in
    ``Saliency().attribute(network, images, Concept(3))``.

    Args:
        model: The model, a `Backbone` or a trained classifier; its weights are shared, not copied.
        layer: The layer that the dictionary is of.
        dictionary: ``(r, c)``.
        encoding: How activations become coefficients; see `encode`. Or a trained `SparseAutoencoder`, which encodes
            them itself, and whose dictionary is the one to give.

    Attributes:
        num_classes: Number of concepts r.

    Example:
        >>> from lit_coiba.backbones import Backbone
        >>> sizes = {"layers": [1, 1, 1, 1], "channels": (4, 4, 4, 8)}
        >>> backbone = Backbone("resnet18", timm_kwargs=sizes, image_size=64, num_classes=2).eval()
        >>> ConceptNetwork(backbone, "layer4", torch.eye(8)[:3])(torch.zeros(1, 3, 64, 64)).shape
        torch.Size([1, 3])
    """

    dictionary: Tensor

    def __init__(
        self,
        model: Network,
        layer: str,
        dictionary: Tensor,
        encoding: Encoding | SparseAutoencoder = "nnls",
    ) -> None:
        super().__init__()
        self.model = model
        self.layer = layer
        self.autoencoder: SparseAutoencoder | None = None
        self.encoding: Encoding | Literal["sparse"] = "sparse" if isinstance(encoding, SparseAutoencoder) else encoding
        parameter = next(iter(model.parameters()), dictionary)
        self.register_buffer("dictionary", dictionary.detach().to(parameter.device, torch.float32, copy=True))
        if isinstance(encoding, SparseAutoencoder):
            self.autoencoder = copy.deepcopy(encoding).eval().requires_grad_(False).to(parameter.device)
        self.num_classes = len(dictionary)
        self._below = model.split([layer])

    @property
    def preprocessing(self) -> Preprocessing:
        """That of the model."""
        return self.model.preprocessing

    @property
    def behavior(self) -> Behavior | None:
        """What is known of the model, for those who explain it."""
        known = behavior_of(self.model)
        return None if known is None else replace(known, outputs=self.num_classes, scale="logits")

    def coefficients(self, activation: Tensor) -> Tensor:
        """Coefficients ``(B, r, h, w)`` of an activation of the layer, in the layer's own layout."""
        rows = self._below.grids[0].to_spatial(activation).movedim(1, -1)
        if self.encoding == "sparse":
            assert self.autoencoder is not None  # by which it is told
            return self.autoencoder.encode(rows).movedim(-1, 1)
        return encode(rows, self.dictionary, self.encoding).movedim(-1, 1)

    def reconstructed(self, coefficients: Tensor) -> Tensor:
        """Activations ``(n, c, h, w)`` that coefficients ``(n, r, h, w)`` stand for."""
        found = torch.einsum("nrhw,rc->nchw", coefficients, self.dictionary)
        return found if self.autoencoder is None else found + self.autoencoder.pre_bias.view(-1, 1, 1)

    def features(self, images: Tensor) -> Tensor:
        """Coefficients ``(B, r, h, w)`` of images ``(B, 3, H, W)``, with gradients with respect to these.

        Raises:
            InputError: Gradients are asked for, and the concepts have none.
        """
        self.refuse_gradients(images)
        return self.coefficients(self._below.activation(images))

    def refuse_gradients(self, given: Tensor) -> None:
        """Refuse an input that gradients are asked of where concepts have none.

        Raises:
            InputError: It is one.
        """
        if self.encoding == "nearest" and given.requires_grad:
            raise InputError(
                "concepts of k-means have no gradient: use a method that needs only scores, such as RISE, Sobol or"
                " Occlusion, or concepts of another factorization"
            )

    def forward(self, images: Tensor) -> Tensor:
        """Mean coefficients ``(B, r)`` of images ``(B, 3, H, W)``."""
        return self.features(images).mean((2, 3))

    def places(self, layer: str = "") -> Places | None:
        """The pixels that the cells of a layer's grid, or of the concepts, cover; None = equal parts of the image."""
        return self.model.places(layer or self.layer)

    def layers(self) -> list[str]:
        """Names of the model's layers up to the one with the concepts."""
        return self._up_to(self.model.layers())

    def grid(self, layer: str) -> Grid:
        """The grid of the activations of `layer`."""
        return self.model.grid(layer)

    def split(self, layers: list[str]) -> SplitNetwork:
        """The network from the first of `layers` on, which lie at or below the layer with the concepts."""
        return ConceptSplit(self, layers)

    def default_layers(self) -> list[str]:
        """The model's default layers up to the one with the concepts, else that one."""
        return self._up_to(self.model.default_layers()) or [self.layer]

    def candidate_layers(self) -> list[str]:
        """The model's candidates up to the layer with the concepts, else that one."""
        return self._up_to(self.model.candidate_layers()) or [self.layer]

    def cam_layer(self) -> str:
        """The layer with the concepts."""
        return self.layer

    def digest(self) -> str:
        """SHA-256 of the model, the layer and the dictionary."""
        told = f"concepts/{self.model.digest()}/{self.layer}/{self.encoding}/{tuple(self.dictionary.shape)}/"
        sha = hashlib.sha256(told.encode() + self.dictionary.cpu().contiguous().numpy().tobytes())
        if self.autoencoder is not None:
            sha.update(f"{self.autoencoder.selection}/{self.autoencoder.k}/".encode())
            for part in self.autoencoder.state_dict().values():
                sha.update(part.cpu().contiguous().numpy().tobytes())
        return sha.hexdigest()

    def _up_to(self, layers: list[str]) -> list[str]:
        order = {name: number for number, name in enumerate(self.model.layers())}
        return [name for name in layers if order.get(name, len(order)) <= order[self.layer]]


class ConceptSplit:
    """A `ConceptNetwork` from the first of some layers on.

    Args:
        network: The network.
        layers: Layers at or below the one with the concepts.

    Raises:
        InputError: One lies above, or cannot be used.
    """

    def __init__(self, network: ConceptNetwork, layers: list[str]) -> None:
        for layer in layers:
            if layer not in network.layers():
                network.model.grid(layer)  # which says what is wrong with a name that is none
                raise InputError(
                    f"layer {layer} lies above {network.layer}, where the concepts are: give that one, or one below it"
                )
        self._network = network
        self._split = network.model.split(list(dict.fromkeys([*layers, network.layer])) if layers else layers)
        self._index = self._split.layers.index(network.layer)
        chosen = [number for number, layer in enumerate(self._split.layers) if layer in layers]
        self._chosen = {number: place for place, number in enumerate(chosen)}
        self.layers = [self._split.layers[number] for number in chosen]
        self.grids = [self._split.grids[number] for number in chosen]

    def lower(self, images: Tensor) -> State:
        """As `SplitNetwork` says."""
        return self._split.lower(images)

    def activation(self, images: Tensor) -> Tensor:
        """As `SplitNetwork` says."""
        return self._split.activation(images)

    def cast_weights(self) -> AbstractContextManager[None]:
        """As `SplitNetwork` says."""
        return self._split.cast_weights()

    def upper(self, state: State, edit: Edit) -> Tensor:
        """Coefficients ``(B, r)`` with edited activations; see `SplitNetwork`."""
        found: list[Tensor] = []

        def look(number: int, activation: Tensor) -> Tensor:
            if number in self._chosen:
                activation = edit(self._chosen[number], activation)
            if number == self._index:
                self._network.refuse_gradients(activation)
                found.append(self._network.coefficients(activation).mean((2, 3)))
                raise _Found
            return activation

        with suppress(_Found):
            self._split.upper(state, look)
        return found[0]


class _Found(Exception):
    """The concepts are there: what lies above them need not run."""
