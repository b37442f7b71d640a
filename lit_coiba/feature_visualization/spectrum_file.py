"""A file of a magnitude spectrum, read and looked through."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import torch
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.files.given_path import given_path
from lit_coiba.files.json_text import decode_json
from lit_coiba.files.npy_file import map_array
from lit_coiba.files.regular import clause
from lit_coiba.files.tensor_file import read_safe_tensors

HEADER = "lit_coiba.spectrum"  # of the metadata
SHAPES = "(3, S, S / 2 + 1) for an even S, or (3, n) for a radial profile"


class Header(msgspec.Struct, forbid_unknown_fields=True):
    """What the metadata of a file says, as JSON."""

    source: str = ""
    count: Annotated[int, msgspec.Meta(ge=0)] = 0
    preprocessing: str = ""


def read_spectrum_file(file: str | Path) -> tuple[Tensor, Header]:
    """Magnitudes, float32, and what the file says of them; an array of NumPy says nothing.

    Raises:
        InputError: There is no such file, or it has no spectrum, or one of another shape.
    """
    what = "spectrum:"
    if str(file).endswith(".npy"):
        try:
            array = map_array(given_path(file, "spectrum"), (3,), "f")
        except OSError as error:
            raise InputError(
                f"{what} {printable(file, 200)} cannot be read ({clause(error)}): give an array {SHAPES}"
            ) from error
        magnitude, told = torch.from_numpy(np.array(array, np.float32)), Header()
    else:
        content, metadata = read_safe_tensors(file, what, "give shipped, or a file that MagnitudeSpectrum.save wrote")
        try:
            told = decode_json(metadata[HEADER], Header)
            magnitude = content["magnitude"]
        except (LookupError, ValueError) as error:
            raise InputError(
                f"{what} {printable(file, 200)} is no file of a magnitude spectrum: give one that"
                " MagnitudeSpectrum.save wrote"
            ) from error
    check_magnitude(magnitude, f"{what} the magnitude in {printable(file, 200)}")
    return magnitude, told


def check_magnitude(magnitude: Tensor, what: str) -> None:
    """Refuse what is no magnitude spectrum.

    Args:
        magnitude: Magnitudes.
        what: What to call them in an error.

    Raises:
        InputError: Another type or shape, or a value that is not above 0.
    """
    shape = tuple(magnitude.shape)
    full = len(shape) == 3 and shape[1] >= 4 and shape[1] % 2 == 0 and shape[2] == shape[1] // 2 + 1
    profile = len(shape) == 2 and shape[1] >= 2
    if shape[:1] != (3,) or not (full or profile):
        raise InputError(f"{what} has the shape {shape}: give {SHAPES}")
    if magnitude.dtype != torch.float32:
        raise InputError(f"{what} is {magnitude.dtype}: give float32")
    if not (magnitude.isfinite().all() and (magnitude > 0).all()):
        raise InputError(f"{what} has values that are not finite numbers above 0: measure it again, on more images")
