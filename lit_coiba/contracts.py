"""What everyone shares: the verb of every method, what it returns, and how a layer lies in space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from inspect import signature
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, get_args

import torch
from torch import Tensor


class InputError(ValueError):
    """Something the user gave is wrong; the message says what, and what to do instead."""


def chosen(value: Any, choices: Any, name: str, more: str = "") -> Any:
    """`value`, which is one of the literals `choices`.

    Raises:
        InputError: It is not.
    """
    if value not in get_args(choices):
        raise InputError(f"{name} is {value!r}: choose {', '.join(get_args(choices))}{more}")
    return value


def checked(least: int = 1, **values: int) -> None:
    """Refuse counts below `least`.

    Raises:
        InputError: Naming the first of them.
    """
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InputError(f"{name} is {value!r}: give a whole number, {least} or more")


class Failure(NamedTuple):
    """A sample that could not be explained, and why, in one sentence."""

    id: str
    reason: str


class Batch(NamedTuple):
    """One block of samples: what a data module of this project yields when a dataset is explained."""

    images: Tensor  # (B, 3, H, W) normalised model input
    ids: tuple[str, ...]  # B stable sample ids
    labels: Tensor  # (B,) int64; -1 = no label
    block: int  # number of the block in the dataset
    failures: tuple[Failure, ...] = ()  # samples of this block that could not be read


class Explanation(NamedTuple):
    """What a method says about a batch of images."""

    maps: Tensor  # (B, h, w) float32 (float64 for a float64 model), at the method's native grid
    extras: dict[str, Tensor]  # name -> (B, ...): bits, cross_entropy, ...; may be empty


class HeadExplanation(NamedTuple):
    """What an interpretable head says about its own decision on a batch of images; units are channels or parts."""

    contributions: Tensor  # (B, U) signed; the sum over units, plus the class bias if any, is the target's logit
    maps: Tensor  # (B, h, w): where the evidence for the target lies
    units: Tensor  # (B, top) int64: the units of largest absolute contribution, descending
    unit_maps: Tensor  # (B, top, h, w): where each of them is


@dataclass(frozen=True)
class Preprocessing:
    """How an image file becomes model input: timm's evaluation recipe as plain values.

    The shorter side is resized to ``floor(size / crop_pct)``, the centre is cropped to `size`, pixels in [0, 1] are
    normalised with `mean` and `std` per channel.
    """

    size: tuple[int, int] = (224, 224)  # height, width in pixels
    crop_pct: float = 0.875
    interpolation: Literal["nearest", "bilinear", "bicubic"] = "bicubic"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def normalize(self, pixels: Tensor) -> Tensor:
        """Pixels in [0, 1], ``(..., 3, H, W)``, as model input.

        Raises:
            InputError: They are no tensor of floating-point numbers.
        """
        if not isinstance(pixels, Tensor) or not pixels.is_floating_point():
            given = pixels.dtype if isinstance(pixels, Tensor) else type(pixels).__name__
            raise InputError(f"pixels are {given}: give a tensor of numbers in [0, 1], bytes divided by 255")
        mean, std = self._moments(pixels)
        return (pixels - mean) / std

    def denormalize(self, images: Tensor) -> Tensor:
        """Model input ``(..., 3, H, W)`` as pixels in [0, 1]."""
        mean, std = self._moments(images)
        return images * std + mean

    def _moments(self, like: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = (like.new_tensor(values).view(-1, 1, 1) for values in (self.mean, self.std))
        return mean, std


@dataclass(frozen=True)
class Grid:
    """How one layer's activations lie in space.

    A *position* is a token or a cell: `prefix` tokens without a place (CLS, registers) come first, then
    ``height * width`` places in row-major order.
    """

    layer: str
    layout: Literal["tokens", "channels_first", "channels_last"]
    height: int
    width: int
    channels: int
    prefix: int = 0

    @property
    def positions(self) -> int:
        """Number of prefix tokens and places together."""
        return self.prefix + self.height * self.width

    def spread(self, values: Tensor) -> Tensor:
        """Values per position, ``(B, positions)``, in a shape that multiplies this layer's activation."""
        if self.layout == "tokens":
            return values.unsqueeze(-1)
        places = values.unflatten(-1, (self.height, self.width))
        return places.unsqueeze(-3) if self.layout == "channels_first" else places.unsqueeze(-1)

    def over_channels(self, activation: Tensor) -> Tensor:
        """Mean of an activation ``(B, ...)`` over its channels, ``(B, positions)``."""
        if self.layout == "channels_first":
            return activation.mean(-3).flatten(-2)
        mean = activation.mean(-1)
        return mean if self.layout == "tokens" else mean.flatten(-2)

    def to_map(self, values: Tensor) -> Tensor:
        """Values per position, ``(B, positions)``, as a map ``(B, h, w)``; prefix tokens are left out."""
        return values[..., self.prefix :].unflatten(-1, (self.height, self.width))

    def to_spatial(self, activation: Tensor) -> Tensor:
        """An activation of this layer as ``(B, C, h, w)``; prefix tokens are left out."""
        if self.layout == "channels_first":
            return activation
        if self.layout == "channels_last":
            return activation.movedim(-1, -3)
        return activation[:, self.prefix :].transpose(1, 2).unflatten(-1, (self.height, self.width))

    def with_spatial(self, activation: Tensor, spatial: Tensor) -> Tensor:
        """An activation of this layer with `spatial` ``(B, C, h, w)`` at its places; prefix tokens stay."""
        if self.layout == "channels_first":
            return spatial
        if self.layout == "channels_last":
            return spatial.movedim(-3, -1)
        return torch.cat([activation[:, : self.prefix], spatial.flatten(2).transpose(1, 2)], 1)


class State(NamedTuple):
    """Where a `Path` stands before its first target: what the tail needs, computed once per image."""

    stream: Tensor  # input of the first link that is run again
    activation: Tensor  # clean activation of the first target

    def rows(self, rows: slice) -> State:
        """This state for some of the images."""
        return self._each(lambda tensor: tensor[rows])

    def repeat(self, copies: int) -> State:
        """This state for `copies` copies of every image, ``(copies * B, ...)``, copy-major: index ``n * B + b``."""
        return self._each(lambda tensor: tensor.repeat(copies, *[1] * (tensor.dim() - 1)))

    def _each(self, change: Callable[[Tensor], Tensor]) -> State:
        stream = change(self.stream)
        return State(stream, stream if self.activation is self.stream else change(self.activation))


Edit = Callable[[int, Tensor], Tensor]


class Path(Protocol):
    """A network seen from its first targeted layer on: ``tail(prefix(x), identity)`` equals ``model(x)``."""

    layers: list[str]  # targets, in the order in which the network runs them
    grids: list[Grid]  # one per target

    def prefix(self, images: Tensor) -> State:
        """The clean stream and the first target's activation for images ``(B, 3, H, W)``, without gradients."""

    def activation(self, images: Tensor) -> Tensor:
        """The first target's activation for images ``(B, 3, H, W)``, with gradients with respect to them."""

    def tail(self, state: State, edit: Edit) -> Tensor:
        """Logits ``(B, K)`` with ``edit(i, activation)`` in place of the activation of the i-th target."""


class Network(Protocol):
    """What a method may ask of a model: a `Backbone`, or a trained classifier, which has the same interface."""

    @property
    def preprocessing(self) -> Preprocessing:
        """How image files become input of this model."""

    @property
    def num_classes(self) -> int:
        """K, the number of logits."""

    def __call__(self, images: Tensor) -> Tensor:
        """Logits ``(B, K)``."""

    def features(self, images: Tensor) -> Tensor:
        """The grid before pooling, ``(B, C, h, w)``."""

    def layers(self) -> list[str]:
        """Names of the modules that can be targeted."""

    def grid(self, layer: str) -> Grid:
        """How the activations of `layer` lie in space."""

    def path(self, layers: list[str]) -> Path:
        """The network from the first of `layers` on."""

    def default_layers(self) -> list[str]:
        """What a bottleneck targets where nothing else is asked for."""

    def candidate_layers(self) -> list[str]:
        """Targets that the leak test may choose from; the default layers are its last entries."""

    def cam_layer(self) -> str:
        """The last layer whose places each move the logits: what class activation maps target."""

    def digest(self) -> str:
        """SHA-256 of architecture and weights."""

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """The weights."""


Need = Literal["gradients", "attention", "layer", "modules", "statistics", "head", "package"]
Family = Literal["CNN", "ViT", "Swin"]


class Card(NamedTuple):
    """What a user wants to know of a method before running it; ``lit-coiba methods`` shows it."""

    paper: str  # authors, title, year, number at arXiv; empty for a floor that nobody published
    cost: str  # images that run forward, and backward, through the model for one map
    needs: tuple[Need, ...] = ()  # of the model, beyond logits
    families: tuple[Family, ...] = ("CNN", "ViT", "Swin")
    class_dependent: bool = True
    baseline: bool = False  # a floor for comparisons, not an explanation


class AttributionMethod(ABC):
    """One attribution method.

    Constructor arguments are plain values, so that YAML can set all of them, and are kept as attributes of their names.
    """

    card: ClassVar[Card] = Card("", "not stated")
    indifferent: ClassVar[frozenset[str]] = frozenset({"chunk"})  # arguments that do not decide the maps

    def prepare(self, model: Network, loader: Iterable[Any]) -> None:
        """Get from data what the method needs (activation statistics); most methods need nothing.

        Args:
            model: The model that will be explained.
            loader: Any iterable of image tensors, ``(images, ...)`` tuples or `Batch`; or one tensor ``(B, 3, H, W)``.
        """
        return

    @abstractmethod
    def explain(self, model: Network, images: Tensor, targets: Tensor | int | None = None) -> Explanation:
        """Explain `images` ``(B, 3, H, W)`` for `targets` ``(B,)``, or one for all; None: the predicted class."""

    def attribute(self, model: Network, images: Tensor, targets: Tensor | int | None = None) -> Tensor:
        """Maps ``(B, h, w)`` alone."""
        return self.explain(model, images, targets).maps

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.arguments().items())
        return f"{type(self).__name__}({given})"

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments of this instance."""
        return {name: getattr(self, name) for name in signature(type(self)).parameters}

    def identity(self) -> dict[str, Any]:
        """What decides the explanations, as plain values: the arguments, and the content of a file for its path."""
        return {name: value for name, value in self.arguments().items() if name not in self.indifferent}
