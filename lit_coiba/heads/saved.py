"""A trained classifier from its file: the head that the file tells of, then the weights."""

from __future__ import annotations

from lit_coiba.backbones import Backbone
from lit_coiba.backbones.weights import load_weights
from lit_coiba.backbones.weights_file import read_arguments
from lit_coiba.core.errors import InputError
from lit_coiba.heads.description import build


def load_trained(backbone: Backbone, file: str) -> None:
    """Give `backbone` the head and the weights of a trained classifier.

    Args:
        backbone: The model, without a head or with the same one.
        file: A Lightning checkpoint of `Classifier`, safetensors that `ExportWeights` wrote, or weights alone.

    Raises:
        InputError: The file cannot be read, or is of another model.
    """
    told = read_arguments(file)
    head = told.get("head")
    key = "unstrided_stages"  # which no weight tells of
    trained, given = (arguments.get(key) or 0 for arguments in (told.get("backbone") or {}, backbone.arguments))
    if told.get("backbone") and backbone.arguments and trained != given:
        raise InputError(
            f"{file} was trained with {key} {trained}, and the backbone has {given}: set {key} to {trained}"
        )
    if head is not None and backbone.head is None:
        backbone.attach(build(head))
    load_weights(backbone.model, file)
