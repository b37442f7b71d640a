"""Pictures of colored cells, drawn from random numbers."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def picture(random: np.random.Generator, size: int = 32, mode: str = "RGB") -> Image.Image:
    """A picture of 4 x 4 cells."""
    cells = random.integers(0, 256, (4, 4, len(mode)), dtype=np.uint8)
    return Image.fromarray(cells).resize((size, size), Image.Resampling.NEAREST)


def webp(random: np.random.Generator, size: int = 32, mode: str = "RGB") -> bytes:
    """The same as a WebP file."""
    out = io.BytesIO()
    picture(random, size, mode).save(out, "WEBP", quality=80)
    return out.getvalue()
