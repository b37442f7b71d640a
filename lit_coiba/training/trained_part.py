"""Which part of a classifier is trained, where the rest of it stays as it is."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.core.near_names import did_you_mean
from lit_coiba.training.optimization import layer_scales


def classifier_of(backbone: Backbone) -> nn.Module:
    """What classifies: the head, or the backbone's own last layer."""
    own: nn.Module = getattr(backbone.model, "get_classifier", nn.Identity)()
    return backbone.head or own


def backbone_scales(
    backbone: Backbone, lr: float, backbone_lr: float | None = None, layer_decay: float = 1.0
) -> dict[str, float]:
    """Name of each parameter of the backbone in a classifier -> factor on the learning rate; none where all are 1.

    Args:
        backbone: The backbone.
        lr: Peak learning rate of what classifies.
        backbone_lr: That of the rest; None = the same.
        layer_decay: Factor on it from each layer to the one below.
    """
    if backbone_lr is None and layer_decay == 1:
        return {}
    base = 1.0 if backbone_lr is None else backbone_lr / lr
    return layer_scales(backbone.model, classifier_of(backbone), base, layer_decay, "backbone.model.")


class TrainedPart:
    """Freezes a backbone but for what classifies, and for some of its layers.

    Args:
        backbone: The backbone.
        layers: Names of the layers that are trained too.

    Raises:
        InputError: There is no classifier layer, or no layer of a name.
    """

    def __init__(self, backbone: Backbone, layers: Sequence[str]) -> None:
        classifier = classifier_of(backbone)
        if not list(classifier.parameters()):
            raise InputError("frozen trains only the classifier layer, and this backbone has none: set num_classes")
        known = dict(backbone.model.named_modules())
        if unknown := [name for name in layers if not name or name not in known]:
            near = did_you_mean(unknown[0], list(known), ": print(backbone.model) shows all of them")
            raise InputError(f"trained_layers: the backbone has no layer {unknown[0]!r}{near}")
        self._backbone, self._parts = backbone, [known[name] for name in layers]
        backbone.requires_grad_(False)
        for part in (classifier, *self._parts):
            part.requires_grad_(True)

    def train(self) -> None:
        """Training mode for what is trained; the rest evaluates, so that running statistics and dropout leave it.

        Batch norms of trained layers go on with the statistics of the weights that they came with: those of small
        batches would change what the layers below them mean.
        """
        self._backbone.eval()
        for part in (self._backbone.head, *self._parts):
            for module in part.modules() if part is not None else ():
                module.training = part is self._backbone.head or not isinstance(module, _BatchNorm)
