"""A file of concepts, read and looked through."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from torch import Tensor

from lit_coiba.concepts.encoding import Encoding
from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.files.json_text import decode_json
from lit_coiba.files.tensor_file import read_safe_tensors

HEADER, DIGEST = "lit_coiba.concepts", "lit_coiba.digest"  # of the metadata
TENSORS = ("dictionary", "coefficients", "images", "places")

_NotNegative = Annotated[int, msgspec.Meta(ge=0)]


class Header(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What concepts stand for, as the metadata of a file say it in JSON."""

    layer: str  # of the model
    cls: _NotNegative  # number of the class
    model: str  # digest of architecture and weights
    preprocessing: str  # of the model, as JSON
    factorization: str  # class and arguments, as JSON
    encoding: Encoding  # how activations become coefficients
    crop_size: _NotNegative  # side of the crops in pixels; 0 = rows are positions of the layer
    seen: _NotNegative  # images that were given
    used: _NotNegative  # those of them that the model gives the class
    error: Annotated[float, msgspec.Meta(ge=0)]  # relative reconstruction error of the rows
    path: tuple[tuple[str, int], ...] = ()  # layers and concepts above these, where they are parts of a concept


def read_concepts_file(file: str | Path) -> tuple[Header, dict[str, Tensor], str]:
    """The header, the tensors and the digest of a file of concepts.

    Raises:
        InputError: There is no such file, or it is not one of concepts.
    """
    content, metadata = read_safe_tensors(file, "concepts:", "fit them with CRAFT.fit, and save them")
    try:
        told = decode_json(metadata[HEADER], Header)
        tensors = {name: content[name] for name in TENSORS}
        digest = metadata[DIGEST]
        _check(tensors, len(content))
    except (LookupError, ValueError) as error:
        reason = "" if isinstance(error, LookupError) else f" ({printable(error, 200)})"
        raise InputError(
            f"concepts: {printable(file, 200)} was not written by this version of lit-coiba{reason}: fit them again"
        ) from error
    return told, tensors, digest


def _check(tensors: dict[str, Tensor], count: int) -> None:
    """Refuse what no fit gives.

    Raises:
        ValueError: Saying what.
    """
    dictionary, coefficients, images, places = (tensors[name] for name in TENSORS)
    shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())
    fits = dictionary.dim() == coefficients.dim() == 2 and len(dictionary) == coefficients.shape[1] > 0
    if not fits or not images.shape == places.shape == coefficients.shape[:1] or count != len(TENSORS):
        raise ValueError(f"its tensors do not go together: {shapes}")
    if images.is_floating_point() or places.is_floating_point():
        raise ValueError("its images and places are no whole numbers")
    if not dictionary.is_floating_point() or not coefficients.is_floating_point():
        raise ValueError("its dictionary and coefficients are no floating-point numbers")
    if not dictionary.isfinite().all() or not coefficients.isfinite().all():
        raise ValueError("it has numbers that are not finite")
