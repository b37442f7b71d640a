"""Measures of optimized images against natural ones, as a file: ours, after those of MACO's authors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.files.atomic import atomically
from lit_coiba.files.digests import is_sealed, sealed
from lit_coiba.files.json_text import read_json, typed

MEASURES = "measures.json"


class Each(msgspec.Struct, frozen=True):
    """Of one optimized image."""

    of: str  # digest of what it was optimized for
    plausibility: float | None  # see `natural_images.plausibility`
    held_out_real: float | None  # score of the best natural image over the crops of `held_out`


class Measures(msgspec.Struct, frozen=True, kw_only=True):
    """Of all optimized images of a folder."""

    of: str  # digest of the optimized and of the natural images
    images: int  # number of natural images
    fid: float | None  # squared Frechet distance of own features: not that of Inception's, which others report
    plausibility: float | None  # mean
    held_out: float | None  # mean score of the optimized images over held-out crops
    held_out_real: float | None  # and of the best natural images
    above_real: int  # optimized images whose held-out score is above that of the best natural image
    each: dict[str, Each]  # by key


def write_measures(file: Path, measures: Measures) -> None:
    """Write them, whole or not at all."""
    with atomically(file) as out:
        out.write(f"{json.dumps(sealed(msgspec.to_builtins(measures)), allow_nan=False, indent=1)}\n".encode())


def read_measures(file: Path) -> Measures:
    """What `write_measures` wrote.

    Raises:
        FileNotFoundError: There is no such file.
        InputError: It is damaged.
    """
    told = read_json(file, dict[str, Any], "measures")
    try:
        if not is_sealed(told):
            raise ValueError("its content is not what its digest says")
        found: Measures = typed(told, Measures)
    except ValueError as error:
        raise InputError(f"measures: {printable(file, 200)} is damaged: {printable(error, 200)}") from error
    return found
