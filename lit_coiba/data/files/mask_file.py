"""Masks that lie in files of their own, one for each picture."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from lit_coiba.data.files.image_file import image_size, read_mask
from lit_coiba.data.fingerprint import ABSENT, files_version


def mask_of(picture: Path, mask: Path) -> Tensor | None:
    """The values of a picture's mask, uint8 ``(H, W)`` in its pixels; None where there is no such file.

    Raises:
        OSError: One of the two cannot be read, or they differ in size.
    """
    try:
        values = read_mask(mask)
    except FileNotFoundError:
        return None
    size = image_size(picture)
    if values.shape != size:
        theirs = f"{values.shape[1]} x {values.shape[0]}"
        raise OSError(f"the mask {mask} has {theirs} pixels, but its image has {size[1]} x {size[0]}")
    return values


def mask_version(picture: Path) -> str:
    """Version of the mask that has the name of a picture, in the folder of masks; empty where there is none."""
    version = files_version([picture.with_suffix(".png")])
    return "" if version == ABSENT else version
