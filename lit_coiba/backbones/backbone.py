"""A timm model, or any other module, as features on a grid, layers that methods can use, and logits."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from inspect import signature
from typing import Any, Literal

from torch import Tensor, nn

from lit_coiba.backbones.chain_split import ChainSplit
from lit_coiba.backbones.chains import chain
from lit_coiba.backbones.class_names import ClassNames
from lit_coiba.backbones.construction import Interpolation, build, pair, preprocessing_of
from lit_coiba.backbones.defaults import cam_layer, candidate_layers, default_layers
from lit_coiba.backbones.digest import digest_of, once_while_unchanging, printed
from lit_coiba.backbones.grid_head import PLACE, attach, attached, blank_output, final_features, pooled_norm
from lit_coiba.backbones.grids import Metadata, grid_of
from lit_coiba.backbones.probe import Probe
from lit_coiba.backbones.probes import Probes
from lit_coiba.backbones.strides import remove_strides
from lit_coiba.backbones.weights import load_weights
from lit_coiba.backbones.weights_file import File, read_network
from lit_coiba.core.errors import InputError
from lit_coiba.core.grid import Grid
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.heads.description import build as build_head
from lit_coiba.heads.head import Head


class Backbone(nn.Module):
    """An image classifier: a timm model, or any module (`wrap`), with the layers that methods can use.

    Layers have timm's module names. `image_size` is what a transformer is built for and what images are resized to.
    Where it, mean, std, interpolation or crop_pct is None, timm's data configuration of the model is used.

    Args:
        name: Name of a timm model.
        checkpoint: File of weights (safetensors, .pth or .ckpt); None = random weights.
        pretrained: Whether to download timm's own weights instead.
        num_classes: Number of classes K; None = that of the timm model.
        timm_kwargs: Further arguments of the timm model.
        image_size: Size of the input in pixels, one number or height and width.
        mean: Mean of each channel, for pixels in [0, 1].
        std: Standard deviation of each channel, for pixels in [0, 1].
        interpolation: Interpolation of the resize.
        crop_pct: Share of the resized image's side that the center crop keeps.
        checkpoint_match: Match of its tensors: by ``name``, or by ``order`` for the same architecture with other names.
        new_head: Whether to leave out the checkpoint's classifier, for training on other classes.
        unstrided_stages: Number of final stages of a CNN that lose their stride, so that the grid keeps its resolution;
            weights stay the same. For ResNets, RegNets, EfficientNets and MobileNets.

    Raises:
        InputError: The name is unknown, the weights cannot be loaded or do not fit, or there are no such stages.

    Example:
        >>> backbone = Backbone("vit_tiny_patch16_224", timm_kwargs={"depth": 2, "embed_dim": 12}, image_size=64)
        >>> backbone.grid("blocks.1.norm1")
        Grid(layer='blocks.1.norm1', layout='tokens', height=4, width=4, channels=12, num_prefix_tokens=1)
    """

    preprocessing: Preprocessing
    num_classes: int
    arguments: dict[str, Any]  # of __init__, plain values
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
    ) -> None:
        arguments = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        super().__init__()
        if checkpoint and pretrained:
            raise InputError("checkpoint and pretrained are both set: choose one source of weights")
        size = pair(image_size)
        model = build(name, pretrained, num_classes, size, **(timm_kwargs or {}))
        remove_strides(model, unstrided_stages)
        if checkpoint:
            load_weights(model, checkpoint, checkpoint_match, new_head)
        self._adopt(model, preprocessing_of(model, size, mean, std, interpolation, crop_pct), None, arguments)

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
        if saved.head is not None:
            backbone.attach(build_head(saved.head, head, str(file)))
        load_weights(backbone.model, file)
        return backbone

    @classmethod
    def wrap(
        cls,
        module: nn.Module,
        preprocessing: Preprocessing | None = None,
        num_classes: int | None = None,
        image_size: int | tuple[int, int] | None = None,
    ) -> Backbone:
        """Wrap any module from images ``(B, 3, H, W)`` to logits ``(B, K)``.

        Args:
            module: The module, used as it is; layers have the names of its submodules.
            preprocessing: Preprocessing of its input; None = 224 pixels, ImageNet's mean and std, or what timm says
                about it.
            num_classes: Number of classes K; None = determined by a forward of blank images.
            image_size: Size of the input in pixels, one number or height and width, in place of that of
                `preprocessing`.
        """
        backbone = cls.__new__(cls)
        nn.Module.__init__(backbone)
        found = preprocessing or preprocessing_of(module)
        backbone._adopt(module, replace(found, size=pair(image_size) or found.size), num_classes, {})
        return backbone

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, K)`` of normalized images ``(B, 3, H, W)``."""
        return self.model(images)

    def ordered(self, images: Tensor) -> Tensor:
        """Images ``(B, 3, H, W)`` in the memory format in which the model is fastest."""
        return self._probed().ordered(images)

    def features(self, images: Tensor) -> Tensor:
        """The grid before pooling ``(B, C, h, w)``, after the final norm, without prefix tokens."""
        if not hasattr(self.model, "forward_features"):
            return self._last_grid(images)
        model: Any = self.model
        output = model.forward_features(images)
        size = (images.shape[-2], images.shape[-1])
        return final_features(output, self._feature_grid(output, size), pooled_norm(self.model))

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
        attach(self.model, head, self._feature_grid(blank_output(self.model, size), size), size)
        self._probes = Probes()
        self.num_classes = int(getattr(head, "num_classes", 0)) or self._count_classes()

    @property
    def feature_channels(self) -> int:
        """Number of channels C of `features`."""
        size = self.preprocessing.size
        return self._feature_grid(blank_output(self.model, size), size).channels

    def layers(self) -> list[str]:
        """Names of the modules that methods can use as layers, in the order of execution."""
        return list(self._grids())

    def grid(self, layer: str) -> Grid:
        """The grid of the activations of `layer`.

        Raises:
            InputError: No such layer, or it has no spatial grid.
        """
        found = self._grids()
        if layer in found:
            return found[layer]
        if layer not in dict(self.model.named_modules()):
            near = get_close_matches(layer, found, n=3, cutoff=0.5)
            what = f"did you mean {', '.join(near)}?" if near else f"choose {', '.join(self._examples())}, ..."
            raise InputError(f"{self._title} has no layer {layer!r}: {what}")
        record = self._probed().records.get(layer)
        if record is None:
            why = "is not called in the model's forward"
        elif record.calls > 1:
            why = f"is called {record.calls} times in a forward"
        elif record.shape is None:
            why = "does not return one tensor with a row for each image"
        else:
            why = f"has no spatial grid, since its output has shape {record.shape} for an image"
        raise InputError(f"layer {layer!r} of {self._title} {why}: choose {', '.join(self._examples())}, ...")

    def split(self, layers: list[str]) -> ChainSplit:
        """The network from the first of `layers` on.

        Raises:
            InputError: A layer cannot be used, or is given twice.
        """
        links, found = chain(self.model), self._grids()
        chosen = [found[layer] if layer in found else self.grid(layer) for layer in layers]
        return ChainSplit(self.model, links, self._probes.of(self.model, self.preprocessing.size, links), chosen)

    def default_layers(self) -> list[str]:
        """Default bottleneck layers; see `lit_coiba.backbones.defaults`."""
        return default_layers(self.model, self._grids())

    def candidate_layers(self) -> list[str]:
        """Layers at which bottlenecks may start; the default layers are the last of them."""
        return candidate_layers(self.model, self._grids())

    def cam_layer(self) -> str:
        """Default layer of class activation maps."""
        return cam_layer(self.model, self._grids())

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
        structure = self.arguments.get("timm_kwargs") or {} if self.arguments else printed(self.model)
        architecture = [self._title, structure, self.preprocessing.size]
        if unstrided := self.arguments.get("unstrided_stages"):
            architecture.append({"unstrided_stages": unstrided})
        if head and self.head is not None:
            architecture.append(printed(self.head))
        state = self.model.state_dict()
        weights = {name: tensor for name, tensor in state.items() if head or not name.startswith(f"{PLACE}.")}
        return digest_of(architecture, weights)

    def _adopt(
        self, model: nn.Module, preprocessing: Preprocessing, num_classes: int | None, arguments: dict[str, Any]
    ) -> None:
        self.model = model
        self.preprocessing = preprocessing
        self.arguments = arguments
        self._title = arguments.get("name", type(model).__name__)
        self._probes = Probes()
        declared = num_classes if num_classes is not None else getattr(model, "num_classes", None)
        self.num_classes = int(declared) if declared is not None else self._count_classes()

    def _probed(self) -> Probe:
        return self._probes.of(self.model, self.preprocessing.size)

    def _grids(self) -> dict[str, Grid]:
        return self._probes.grids(self.model, self.preprocessing.size)

    def _examples(self) -> list[str]:
        try:
            return self.default_layers()[-3:]
        except InputError:
            return self.layers()[-3:]

    def _count_classes(self) -> int:
        output = self._probed().output
        if output is None or len(output) != 1:
            raise InputError(f"{self._title} returns {output} for an image, not one logit per class: wrap its logits")
        return output[0]

    def _feature_grid(self, output: Tensor, size: tuple[int, int]) -> Grid:
        """How the output of ``forward_features`` for images of `size` lies in space."""
        grid = grid_of("features", tuple(output.shape[1:]), size, Metadata.of(self.model, size))
        if grid is None:
            raise InputError(f"{self._title} has no features on a grid: their shape is {tuple(output.shape[1:])}")
        return grid

    def _last_grid(self, images: Tensor) -> Tensor:
        found: list[Tensor] = []
        layer = next(iter(reversed(self.layers())), None)
        if layer is None:
            raise InputError(f"{self._title} has no layer with a spatial grid, hence no features")
        handle = self.model.get_submodule(layer).register_forward_hook(lambda m, a, output: found.append(output))
        try:
            self.model(images)
        finally:
            handle.remove()
        return self.grid(layer).to_spatial(found[0])
