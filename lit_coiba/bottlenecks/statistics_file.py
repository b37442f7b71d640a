"""A file of activation statistics, read and looked through; its numbers are those that an estimate can give."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import torch
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.files.json_text import decode_json
from lit_coiba.files.tensor_file import read_safe_tensors

HEADER, DIGEST = "lit_coiba.statistics", "lit_coiba.digest"  # of the metadata
PARTS = ("mean", "std", "active")


class LeakTest(NamedTuple):
    """What the leak test found: predictions that survive pure noise in every bottleneck layer, by the first of them."""

    kept: dict[str, float]  # first bottleneck layer -> share of predictions kept
    chance: float  # agreement expected if the noised predictions were independent of the clean ones
    images: int
    layers: tuple[str, ...]  # the bottleneck layers that it chose


class Header(msgspec.Struct, forbid_unknown_fields=True):
    """What the metadata of a file of statistics says, as JSON."""

    layers: list[str]
    count: Annotated[int, msgspec.Meta(ge=2)]
    model: str
    preprocessing: str
    leak: LeakTest | None = None
    samples: str = ""


def read_statistics_file(file: str | Path) -> tuple[str, Mapping[str, Tensor], str | None]:
    """The header, the tensors and the digest of a file of statistics; files of version 0.1.0 have no digest.

    Raises:
        InputError: There is no such file, or it is not one of statistics.
    """
    remedy = "estimate them with `lit-coiba statistics`"
    content, metadata = read_safe_tensors(file, "statistics:", remedy)
    try:
        parts_of(metadata[HEADER], content)
    except (LookupError, ValueError) as error:
        reason = "" if isinstance(error, LookupError) else f" ({printable(error, 200)})"
        raise InputError(
            f"statistics: {printable(file, 200)} was not written by this version of `lit-coiba statistics`{reason}:"
            " estimate them again"
        ) from error
    return metadata[HEADER], content, metadata.get(DIGEST)


def parts_of(header: str, tensors: Mapping[str, Tensor]) -> tuple[Header, list[dict[str, Tensor]]]:
    """What the header says, and for each of `PARTS` the values of each layer.

    Raises:
        LookupError: A tensor is not there.
        ValueError: Saying what no estimate gives.
    """
    told = decode_json(header, Header)
    parts = {name: {layer: tensors[f"{name}/{layer}"] for layer in told.layers} for name in PARTS}
    _check(parts, told.layers, len(tensors))
    return told, [parts[name] for name in PARTS]


def _check(parts: Mapping[str, Mapping[str, Tensor]], layers: list[str], tensors: int) -> None:
    """Refuse what no estimate gives.

    Raises:
        ValueError: Saying what.
    """
    if not layers or len(set(layers)) != len(layers) or tensors != len(PARTS) * len(layers):
        raise ValueError("its layers and its tensors do not go together")
    for layer in layers:
        mean, std, active = (parts[name][layer] for name in PARTS)
        if not mean.shape == std.shape == active.shape:
            shapes = ", ".join(str(tuple(part.shape)) for part in (mean, std, active))
            raise ValueError(f"the parts of layer {layer} have the shapes {shapes}")
        for name in PARTS:
            part = parts[name][layer]
            if part.dtype != torch.float32 or not part.isfinite().all():
                raise ValueError(f"the {name} of layer {layer} is not finite float32")
        if mean.numel() and (std.min() < 0 or active.min() < 0 or active.max() > 1):
            raise ValueError(f"layer {layer} has a negative std, or a share outside 0 to 1")
