"""A file of a concept dictionary, read and looked through."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from torch import Tensor

from lit_coiba.concepts.sparse_autoencoder import Selection, SparseAutoencoder
from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.files.json_text import decode_json
from lit_coiba.files.owned import HEAD, begins
from lit_coiba.files.tensor_file import read_safe_tensors

HEADER, DIGEST = "lit_coiba.concept_dictionary", "lit_coiba.digest"  # of the metadata
FREQUENCY = "frequency"

is_dictionary = begins(f'"{HEADER}":', within=HEAD)  # whether a file holds one, by its header

_NotNegative = Annotated[int, msgspec.Meta(ge=0)]
_Positive = Annotated[int, msgspec.Meta(ge=1)]
_Size = Annotated[float, msgspec.Meta(ge=0)]


class DictionaryHeader(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a dictionary stands for, as the metadata of a file say it in JSON."""

    layer: str  # of the model
    model: str  # digest of architecture and weights
    preprocessing: str  # of the model, as JSON
    k: _Positive
    selection: Selection
    crop_size: _NotNegative  # side of the crops in pixels; 0 = rows are positions of the layer
    rows: _NotNegative  # rows that the three numbers below, and the frequencies, were measured on
    error: _Size  # relative reconstruction error
    l0: _Size  # mean number of active concepts in a row
    dead: _Size  # share of the concepts that were active in no row


def read_dictionary_file(file: str | Path) -> tuple[DictionaryHeader, SparseAutoencoder, Tensor, str]:
    """The header, the autoencoder, the frequencies ``(r,)`` and the digest of a file.

    Raises:
        InputError: There is no such file, or it is not one of a concept dictionary.
    """
    remedy = "train one with lit-coiba dictionary"
    content, metadata = read_safe_tensors(file, "concept dictionary", remedy)
    try:
        told, digest = decode_json(metadata[HEADER], DictionaryHeader), metadata[DIGEST]
        frequency = content.pop(FREQUENCY)
        autoencoder = _autoencoder(told, content, frequency)
    except (LookupError, ValueError, InputError) as error:
        reason = "" if isinstance(error, LookupError) else f" ({printable(error, 200)})"
        raise InputError(
            f"concept dictionary {printable(file, 200)} was not written by this version of lit-coiba{reason}: {remedy}"
        ) from error
    return told, autoencoder, frequency, digest


def _autoencoder(told: DictionaryHeader, content: Mapping[str, Tensor], frequency: Tensor) -> SparseAutoencoder:
    """The autoencoder with the weights of a file.

    Raises:
        LookupError: A tensor is not there.
        ValueError: Saying what no training gives.
    """
    dictionary = content["dictionary"]
    if dictionary.dim() != 2 or not len(dictionary) or not dictionary.shape[1]:
        raise ValueError(f"its dictionary has shape {tuple(dictionary.shape)}")
    autoencoder = SparseAutoencoder(dictionary.shape[1], len(dictionary), told.k, told.selection)
    wanted = {name: tuple(tensor.shape) for name, tensor in autoencoder.state_dict().items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in content.items()}
    if shapes != wanted or tuple(frequency.shape) != wanted["encoder_bias"]:
        shapes[FREQUENCY] = tuple(frequency.shape)
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"its tensors do not go together: {listed}")
    for name, tensor in {**content, FREQUENCY: frequency}.items():
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            raise ValueError(f"its {name} has numbers that are not finite, or none with a floating point")
    autoencoder.load_state_dict(content)
    return autoencoder.eval().requires_grad_(False)
