"""Pictures for the site: those of runs decoded within bounds and encoded anew, and maps as small pictures."""

from __future__ import annotations

import base64
import io
import warnings
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from lit_coiba.core.errors import warn
from lit_coiba.explorer.page_data import Picture
from lit_coiba.explorer.site_folder import PartFiles
from lit_coiba.pictures.painting import GAMMA, OPACITY, colors
from lit_coiba.pictures.scale import Scale

SIDE, LARGE = 192, 448  # pixels of the longer side of pictures of samples and crops; of visualizations
_LARGEST = 4096  # pixels of a side of a picture that is read
_FORMATS = ("WEBP", "JPEG", "PNG")
_QUALITY = 80  # of WebP
_MAP_SIDE = 112  # cells of a side of a map that is drawn
_VALUES_SIDE = 28  # cells of a side of a map whose values are written
_LEVELS = 128  # of the colors of a map


class Values(NamedTuple):
    """A map's values as bytes: ``low + (high - low) * byte / 255``."""

    text: str  # base64, row by row
    grid: tuple[int, int]
    low: float
    high: float


class Media:
    """Writes the pictures of one part.

    Args:
        files: Files of the part.
        key: Its key, which names the folder of its pictures.
    """

    def __init__(self, files: PartFiles, key: str) -> None:
        self._files = files
        self._folder = f"media/{key}"
        self.damaged = 0

    def picture(self, content: bytes | Image.Image | None, name: str, alt: str, side: int = SIDE) -> Picture | None:
        """A picture of a run, encoded anew as WebP; None where there is none, or it is damaged.

        Args:
            content: A file's content, or the picture.
            name: Kind and numbers, such as ``crop-3-0``.
            alt: What it shows.
            side: Longest side in pixels; smaller pictures are not enlarged.
        """
        if content is None:
            return None
        try:
            image = decoded(content) if isinstance(content, bytes) else content
        except ValueError as error:
            self.damaged += 1
            if self.damaged == 1:
                warn(f"a picture of {self._folder.rpartition('/')[2]} is damaged and is left out ({error})")
            return None
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        out = io.BytesIO()
        image.save(out, "WEBP", quality=_QUALITY, method=4, exact=False)
        return self._written(f"{name}.webp", out.getvalue(), image.size, alt)

    def overlay(self, values: Tensor, name: str, alt: str) -> tuple[Picture, Scale]:
        """A map ``(h, w)`` as colors that are the more transparent the less it says, PNG, at its own grid where small.

        Returns:
            The picture, and what its colors stand for.
        """
        values, scale = _shrunk(values, _MAP_SIDE), Scale.of(values)
        shares = scale.shares(values)
        low = -1.0 if scale.signed else 0.0
        levels = ((shares - low) / (1 - low) * (_LEVELS - 1)).round().to(torch.uint8)
        image = Image.fromarray(levels.numpy(), "P")
        palette, alpha = _palette(scale.signed)
        image.putpalette(palette)
        out = io.BytesIO()
        image.save(out, "PNG", optimize=False, transparency=alpha)
        return self._written(f"{name}.png", out.getvalue(), image.size, alt), scale

    def _written(self, name: str, content: bytes, size: tuple[int, int], alt: str) -> Picture:
        address = f"{self._folder}/{name}"
        self._files.write(address, content)
        return Picture(address, *size, alt)


@lru_cache(maxsize=2)
def _palette(signed: bool) -> tuple[bytes, bytes]:
    """Colors of the levels of a map, and their opacities."""
    ramp = torch.linspace(-1.0 if signed else 0.0, 1, _LEVELS)
    opacity = (255 * OPACITY * ramp.abs() ** GAMMA).round().to(torch.uint8)
    return bytes(colors(ramp[None], signed)[:, 0].T.flatten().tolist()), bytes(opacity.tolist())


def decoded(content: bytes) -> Image.Image:
    """A picture from a file of a run, RGB or RGBA.

    Raises:
        ValueError: It is none, of another format, or far too large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
                if max(image.size) > _LARGEST:
                    raise ValueError(f"it has {image.width} x {image.height} pixels")
                transparent = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
                return image.convert("RGBA" if transparent else "RGB")
    except Exception as error:  # whatever Pillow makes of bytes that are something else
        raise ValueError(str(error)[:100]) from error


def map_values(values: Tensor) -> Values:
    """The values of a map ``(h, w)`` for a page, on at most 28 x 28 cells; what is no number is the lowest value."""
    values = _shrunk(values, _VALUES_SIDE).double()
    known = values[values.isfinite()]
    low, high = (float(known.min()), float(known.max())) if known.numel() else (0.0, 0.0)
    span = high - low or 1.0
    levels = ((values.nan_to_num(low, high, low) - low) / span * 255).round().to(torch.uint8).numpy()
    grid = int(levels.shape[0]), int(levels.shape[1])
    return Values(base64.b64encode(np.ascontiguousarray(levels).tobytes()).decode(), grid, low, high)


def _shrunk(values: Tensor, side: int) -> Tensor:
    height, width = values.shape
    if max(height, width) <= side:
        return values
    size = max(1, round(height * side / max(height, width))), max(1, round(width * side / max(height, width)))
    return adaptive_avg_pool2d(values.float()[None, None], size)[0, 0]
