"""Small pictures as WebP: what tables and pages hold many of."""

from __future__ import annotations

import io

from PIL import Image
from torch import Tensor

QUALITY = 80


def webp(pixels: Tensor, longest: int | None = None, quality: int = QUALITY) -> bytes:
    """A picture ``(3, h, w)`` uint8 as WebP.

    Args:
        pixels: The picture.
        longest: Pixels of its longer side at most; None = as it is.
        quality: Of WebP, 0 to 100.
    """
    picture = Image.fromarray(pixels.permute(1, 2, 0).contiguous().cpu().numpy())
    if longest is not None and max(picture.size) > longest:
        share = longest / max(picture.size)
        picture = picture.resize(tuple(max(1, round(side * share)) for side in picture.size), Image.Resampling.BICUBIC)  # type: ignore[arg-type]
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=quality)
    return out.getvalue()
