"""A timm model, or any other module, as features on a grid, layers that methods can use, and logits."""

from __future__ import annotations

from dataclasses import replace
from inspect import signature
from typing import Any, Literal

from torch import Tensor, nn

from lit_coiba.backbones.chain_split import ChainSplit
from lit_coiba.backbones.chains import chain
from lit_coiba.backbones.class_names import ClassNames
from lit_coiba.backbones.construction import build, pair, preprocessing_of
from lit_coiba.backbones.digest import architecture_of, network_digest, once_while_unchanging, printed
from lit_coiba.backbones.forwards import captured
from lit_coiba.backbones.grid_head import PLACE, attach, attached, blank_grid, timm_features
from lit_coiba.backbones.looking import noise_pair
from lit_coiba.backbones.offsets import MeasuredCells, layer_activation
from lit_coiba.backbones.probes import Probes
from lit_coiba.backbones.report import Look, Looks, ModelReport, has_classifier
from lit_coiba.backbones.strides import remove_strides
from lit_coiba.backbones.weights import load_weights
from lit_coiba.backbones.weights_file import File, read_network
from lit_coiba.backbones.wrappers import Box, inside, unwrapped
from lit_coiba.core.behavior import Behavior
from lit_coiba.core.errors import InputError
from lit_coiba.core.frozen import is_frozen
from lit_coiba.core.grid import Grid
from lit_coiba.core.preprocessing import CropMode, Interpolation, Preprocessing
from lit_coiba.functional import Places
from lit_coiba.heads.description import build as build_head
from lit_coiba.heads.head import Head


class Backbone(nn.Module):
    """An image classifier: a timm model, or any module (`wrap`), with the layers that methods can use.

    Layers have timm's module names. `image_size` is what a transformer is built for and what images are resized to.
    Where it, mean, std, or what decides resize and crop is None, timm's data configuration of the model is used.

    Args:
        name: Name of a timm model.
        checkpoint: File of weights (safetensors, .pth or .ckpt); None = random weights.
        pretrained: Whether to download timm's own weights instead.
        num_classes: Number of classes K; None = that of the timm model.
        timm_kwargs: Further arguments of the timm model.
        image_size: Size of the input in pixels, one number or height and width.
        mean: Mean of each channel, for pixels in [0, 1].
        std: Standard deviation of each channel, for pixels in [0, 1].
        interpolation: Filter of the resize.
        crop_pct: Share of the resized image's side that the center crop keeps.
        crop_mode: Way in which a picture of other proportions is made to fit; see `Preprocessing`.
        checkpoint_match: Match of its tensors: by ``name``, or by ``order`` for the same architecture with other names.
        new_head: Whether to leave out the checkpoint's classifier, for training on other classes.
        measured_cells: Whether the half cell of CNNs' grids is corrected; see `lit_coiba.backbones.offsets`.
        unstrided_stages: Number of final stages of a CNN that lose their stride: finer grids, the same weights.
        checkpoint_key: Key of one of several sets of weights in the checkpoint, such as ``state_dict_ema``.

    Raises:
        InputError: The name is unknown, the weights cannot be loaded or do not fit, or there are no such stages.
    """

    preprocessing: Preprocessing
    num_classes: int
    arguments: dict[str, Any]  # of __init__, plain values
    look: bool = True  # whether the model is looked at, once, before it is explained: see `report`
    class_names = ClassNames()

    def __init__(
        self,
        name: str,
        checkpoint: str | None = None,
        pretrained: bool = False,
        num_classes: int | None = None,
        timm_kwargs: dict[str, Any] | None = None,
        image_size: int | tuple[int, int] | None = None,
        mean: tuple[float, float, float] | None = None,
        std: tuple[float, float, float] | None = None,
        interpolation: Interpolation | None = None,
        crop_pct: float | None = None,
        checkpoint_match: Literal["name", "order"] = "name",
        new_head: bool = False,
        unstrided_stages: int = 0,
        measured_cells: bool = False,
        crop_mode: CropMode | None = None,
        checkpoint_key: str | None = None,
    ) -> None:
        arguments = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        super().__init__()
        if checkpoint and pretrained:
            raise InputError("checkpoint and pretrained are both set: choose one source of weights")
        model = build(name, pretrained, num_classes, pair(image_size), **(timm_kwargs or {}))
        remove_strides(model, unstrided_stages)
        if checkpoint is not None:
            load_weights(model, checkpoint, checkpoint_match, new_head, checkpoint_key, sized=bool(image_size))
        recipe = preprocessing_of(model, pair(image_size), mean, std, interpolation, crop_pct, crop_mode)
        self._adopt(model, recipe, arguments, inside(model))
        self.measured_cells, self.num_classes = measured_cells, int(model.num_classes)  # type: ignore[arg-type]

    @classmethod
    def load(cls, file: File, head: type[Head] | None = None) -> Backbone:
        """Load a network with its head and its weights from a shipped or exported file, or from a checkpoint of `fit`.

        Args:
            file: safetensors or a Lightning checkpoint that carries the network's arguments.
            head: Class of the file's head, if it is one of your own: a file never imports a class.

        Raises:
            InputError: The file cannot be read, has no arguments, or has a head whose class is not given.
        """
        saved = read_network(file, signature(cls).parameters)
        backbone = cls(**saved.arguments)
        if (told := saved.head) is not None:
            backbone.attach(build_head(told, head, str(file)))
        load_weights(backbone.model, file, found=saved.file)
        return backbone

    @classmethod
    def wrap(
        cls,
        module: nn.Module,
        preprocessing: Preprocessing | None = None,
        num_classes: int | None = None,
        image_size: int | tuple[int, int] | None = None,
        look: bool = True,
        measured_cells: bool = False,
    ) -> Backbone:
        """Wrap any module from images ``(B, 3, H, W)`` to logits ``(B, K)``.

        Args:
            module: The module, out of its wrapper if it is compiled or parallel; layers have the names of its
                submodules. A scripted, exported or quantized one has no layers.
            preprocessing: Preprocessing of its input; None = 224 pixels, ImageNet's mean and std, or timm's own.
            num_classes: Number of classes K, for a check; None = the width of its output.
            image_size: Size of the input in pixels, in place of that of `preprocessing`; one number or two.
            look: Whether the model is run on a few images of noise to see how it behaves; see `report`.
            measured_cells: See `Backbone`.

        Raises:
            InputError: It is no module, does not run on images of this size with three channels, or returns no logits.
        """
        module, around = unwrapped(module)
        backbone = cls.__new__(cls)
        nn.Module.__init__(backbone)
        preprocessing = preprocessing or preprocessing_of(module)
        preprocessing = replace(preprocessing, size=pair(image_size) or preprocessing.size)
        backbone.measured_cells, backbone.look = measured_cells, look
        backbone._adopt(module, preprocessing, {}, around)
        backbone._meet(num_classes)
        return backbone

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, K)`` of normalized images ``(B, 3, H, W)``, which stay as they are.

        While it is explained or scored, images and their copies, however they were made, are `ordered` here, if the
        order is known: a forward that others have hooked is no place to look.
        """
        if is_frozen() and isinstance(images, Tensor):  # and not what stands for them while a graph is traced
            images = self._probes.ordered(images, self.preprocessing.size)
        return self.model(images.clone() if self._writes_input else images)

    @property
    def report(self) -> ModelReport:
        """What a look at the model shows, in a dozen forwards of one or two images at most; `print` makes it readable.

        ``model.look = False`` switches it off: nothing is checked then, and default layers are chosen by name.
        """
        return self._looked().report

    @property
    def behavior(self) -> Behavior | None:
        """The part of `report` that decides what methods do with the model; None where `look` is off."""
        return self._looked().behavior

    def ordered(self, images: Tensor) -> Tensor:
        """Images ``(B, 3, H, W)`` in the memory format in which the model is fastest."""
        return self._probes.some(self.model, self.preprocessing.size).ordered(images)

    def features(self, images: Tensor) -> Tensor:
        """The grid before pooling ``(B, C, h, w)``, after the final norm, without prefix tokens."""
        if hasattr(self.model, "forward_features"):
            return timm_features(self.model, images.clone() if self._writes_input else images)
        if not (grids := self._looked().grids):
            raise InputError(f"{self._title} has no layer with a spatial grid, hence no features")
        layer, grid = list(grids.items())[-1]
        return grid.to_spatial(captured(self.model.get_submodule(layer), self, images))

    @property
    def head(self) -> nn.Module | None:
        """The head that `attach` has put in place of the model's own classifier."""
        return attached(self.model)

    def attach(self, head: nn.Module) -> None:
        """Replace the model's classifier by `head`, from features ``(B, C, h, w)`` to logits ``(B, K)``.

        Raises:
            InputError: This is not a timm model, or the head does not fit its features.
        """
        size = self.preprocessing.size
        attach(self.model, head, blank_grid(self.model, size), size)
        self._probes, self._looks = Probes(), Looks(self._title, inside(self.model), anyone=not self.arguments)
        self.num_classes = int(getattr(head, "num_classes", 0)) or self._looked().outputs

    @property
    def feature_channels(self) -> int:
        """Number of channels C of `features`."""
        return blank_grid(self.model, self.preprocessing.size).channels

    def places(self, layer: str = "") -> Places | None:
        """The pixels that the cells of a layer's grid, or of `features`, cover; None = equal parts of the image."""
        part = self.model.get_submodule(layer)
        there = layer_activation(part, self, self._looked().grids[layer]) if layer else self.features
        return self._measured.of(layer, self.model, there, self.preprocessing.size) if self.measured_cells else None

    def layers(self) -> list[str]:
        """Names of the modules that methods can use as layers, in the order of execution."""
        return list(self._looked().grids)

    def grid(self, layer: str) -> Grid:
        """The grid of the activations of `layer`.

        Raises:
            InputError: No such layer, or it has no spatial grid.
        """
        if layer not in (seen := self._looked()).grids:
            raise seen.unusable(layer)
        return replace(seen.grids[layer], places=self.places(layer))

    @property
    def misplaced(self) -> dict[str, str]:
        """Layers that are refused since their places are not in reading order, and what was seen."""
        return self._looked().misplaced

    def split(self, layers: list[str]) -> ChainSplit:
        """The network from the first of `layers` on.

        Raises:
            InputError: A layer cannot be used, or is given twice.
        """
        links, chosen = chain(self.model), [self.grid(layer) for layer in layers]
        seen = self._probes.of(self.model, self.preprocessing.size, links)
        return ChainSplit(self.model, links, seen.writing({0} if self._writes_input else set()), chosen)

    def default_layers(self) -> list[str]:
        """Default bottleneck layers; see `lit_coiba.backbones.defaults`."""
        return self._looked().defaults.layers

    def candidate_layers(self) -> list[str]:
        """Layers at which bottlenecks may start; the default layers are the last of them."""
        return self._looked().defaults.candidates

    def cam_layer(self) -> str:
        """Default layer of class activation maps."""
        return self._looked().defaults.cam_layer

    def normalize(self, pixels: Tensor) -> Tensor:
        """Pixels in [0, 1], ``(..., 3, H, W)``, as model input."""
        return self.preprocessing.normalize(pixels)

    def denormalize(self, images: Tensor) -> Tensor:
        """Model input ``(..., 3, H, W)`` as pixels in [0, 1]."""
        return self.preprocessing.denormalize(images)

    @once_while_unchanging
    def digest(self, head: bool = True) -> str:
        """SHA-256 of the architecture and of every weight's name, dtype, shape and bytes.

        The architecture is timm's name and arguments and the number of unstrided stages, or the modules of a wrapped
        model, as they print themselves.

        Args:
            head: Whether to include the head that `attach` has put there; without, only what decides `features` counts.
        """
        options = {"measured_cells": self.measured_cells, "unstrided_stages": self.arguments.get("unstrided_stages")}
        structure = self.arguments.get("timm_kwargs") or {} if self.arguments else printed(self.model)
        described = architecture_of(self._title, structure, self.preprocessing.size, options)
        return network_digest(described, self.model, self.head, f"{PLACE}.", head)

    def _adopt(
        self, model: nn.Module, preprocessing: Preprocessing, arguments: dict[str, Any], around: tuple[str, ...]
    ) -> None:
        self.model, self.preprocessing, self.arguments = model, preprocessing, arguments
        self._title = arguments.get("name", model.title if isinstance(model, Box) else type(model).__name__)
        self._probes, self._looks = Probes(), Looks(self._title, around, anyone=not arguments)
        self._measured = MeasuredCells()
        self._writes_input = False  # no model of timm does

    def _meet(self, num_classes: int | None) -> None:
        """Look at a wrapped module."""
        if isinstance(self.model, Box):
            self.model.adapt(noise_pair(self.model, self.preprocessing.size))
        behavior, count = self.behavior, self._looked().outputs
        if num_classes not in (None, count):
            raise InputError(f"num_classes is {num_classes}, but {self._title} returns {count} logits: leave it out")
        self._writes_input = behavior is None or behavior.writes_input
        self.num_classes = count if has_classifier(self.model) else 0

    def _looked(self) -> Look:
        return self._looks.at(self.model, self.preprocessing.size, self._probes, self.look)
