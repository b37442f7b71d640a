"""A trained classifier from its file: the head that the file describes, then the weights."""

from __future__ import annotations

import os
from collections.abc import Mapping

from lit_coiba.backbones.backbone import Backbone
from lit_coiba.backbones.weights import load_weights
from lit_coiba.backbones.weights_file import read_weights_file
from lit_coiba.core.errors import InputError, class_or_kind
from lit_coiba.core.plain_values import is_plain, refused
from lit_coiba.heads.description import KEY, build
from lit_coiba.heads.head import Head


def take_backbone(
    backbone: Backbone, weights: str | os.PathLike[str] | None = None, head: type[Head] | None = None
) -> Backbone:
    """The backbone that a module was given, with the weights of a trained classifier if there is a file of them.

    Raises:
        InputError: It is no backbone, or the file is none for it; see `load_trained`.
    """
    if not isinstance(backbone, Backbone):
        raise InputError(
            f"backbone is {class_or_kind(backbone)}: give a Backbone, Backbone(name) for a timm model or"
            " Backbone.wrap(module) for a module"
        )
    if weights is not None:
        load_trained(backbone, weights, head)
    return backbone


def load_trained(
    backbone: Backbone, file: str | os.PathLike[str], head: type[Head] | None = None, key: str = KEY
) -> None:
    """Give `backbone` the head and the weights of a trained classifier.

    Args:
        backbone: The model, without a head or with the same one.
        file: A Lightning checkpoint of `Classifier`, safetensors that `ExportWeights` wrote, or weights alone.
        head: The class of the file's head, where it is one of your own: a file never imports a class.
        key: The argument of the command line that names that class, for messages.

    Raises:
        InputError: The file cannot be read, is of another model, or has a head of a class that is not named.
    """
    found = read_weights_file(file)
    told = found.arguments
    stages = "unstrided_stages"  # which no weight shows
    saved = told.get("backbone")
    if saved and not (isinstance(saved, Mapping) and is_plain(saved)):
        raise refused(str(file), "backbone", saved)
    trained, given = (arguments.get(stages) or 0 for arguments in (saved or {}, backbone.arguments))
    if saved and backbone.arguments and trained != given:
        raise InputError(
            f"{file} was trained with {stages} {trained}, but the backbone has {given}: set {stages} to {trained}"
        )
    if told.get("head") is not None and backbone.head is None:
        backbone.attach(build(told["head"], head, str(file), key))
    load_weights(backbone.model, file, key=backbone.arguments.get("checkpoint_key"), found=found)
