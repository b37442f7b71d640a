"""Maps as people have them in hand: tensors, arrays, batches, lists, what a method returns, rows of a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.explanation import Explanation
from lit_coiba.functional import resize_map
from lit_coiba.store import Row

Maps = Tensor | np.ndarray | Explanation | Row | Sequence[Any]

_KINDS = "give a tensor or an array (h, w), a batch (B, h, w), a list of these, an Explanation or a row of a store"


def maps_of(given: Maps, name: str = "maps") -> list[Tensor]:
    """Maps ``(h, w)`` of floating-point numbers, on the CPU, at any grid.

    Args:
        given: The maps.
        name: What to call them in an error.

    Raises:
        InputError: Something else was given, or nothing.
    """
    if isinstance(given, Explanation) and given.places is not None:
        given = resize_map(given.maps.detach().cpu(), given.places.size, given.places)
    elif isinstance(given, (Explanation, Row)):
        given = given.maps if isinstance(given, Explanation) else given.map
    if isinstance(given, (list, tuple)):
        if not given:
            raise InputError(f"{name} is empty: {_KINDS}")
        return [values for one in given for values in maps_of(one, name)]
    if isinstance(given, np.ndarray) and given.dtype.kind in "buif" and given.dtype.itemsize <= 8:
        given = torch.from_numpy(np.ascontiguousarray(given.astype(np.float64)))
    if not isinstance(given, Tensor) or given.is_complex():
        what = f"of {given.dtype}" if isinstance(given, (Tensor, np.ndarray)) else f"of type {type(given).__name__}"
        raise InputError(f"{name} is {what}: {_KINDS}")
    values = given.detach().cpu()
    if values.dim() == 4 and values.shape[1] == 1:
        values = values[:, 0]
    if values.dim() not in (2, 3) or 0 in values.shape:
        raise InputError(f"{name} has shape {tuple(given.shape)}: {_KINDS}")
    values = values if values.is_floating_point() else values.double()
    return list(values if values.dim() == 3 else values[None])


def unit_of(given: Maps) -> str:
    """The unit of maps, as the end of a number: bits where what made them counts bits; else nothing."""
    return " bits" if isinstance(given, (Explanation, Row)) and "bits" in given.extras else ""


def check_pairs(images: int, maps: int, name: str = "maps") -> None:
    """Refuse another number of maps than of images."""
    if images != maps:
        raise InputError(f"{name} has {maps} maps for {images} images: give one for each image")
