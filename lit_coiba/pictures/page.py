"""A page of pictures and lines of text, drawn without a display and without pyplot's global state."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Literal

import matplotlib
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ft2font import FT2Font
from PIL import Image
from torch import Tensor

from lit_coiba.files.atomic import atomically
from lit_coiba.files.png import our_mark
from lit_coiba.files.regular import open_regular

INK, FADED, ALERT = "#1b1b1f", "#6f6f7a", "#b3261e"

_DPI = 100
_LEVEL = 1  # of compression: noisy pictures hardly get smaller from there on, and take much longer
_NOTE = "lit-coiba"  # the key of a note among a PNG's texts
_ELLIPSIS = "\u2026"
_NO_GLYPH = "\u25a1"  # a box


class Page:
    """A white page; positions and sizes are in pixels from the top left.

    Texts are shown as they are: no mathematics, no TeX; control characters and what the font lacks appear as boxes.

    Args:
        width: Width in pixels.
        height: Height in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self._canvas = np.full((height, width, 3), 255, np.uint8)
        self._figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, frameon=False)

    def picture(self, x: int, y: int, pixels: Tensor) -> None:
        """Put a picture ``(3, h, w)`` uint8 with its top left corner at (x, y)."""
        self._canvas[y : y + pixels.shape[1], x : x + pixels.shape[2]] = pixels.permute(1, 2, 0).numpy()

    def text(
        self,
        x: float,
        baseline: float,
        text: str,
        width: float | None = None,
        size: float = 9.0,
        color: str = INK,
        bold: bool = False,
        align: Literal["left", "center", "right"] = "left",
        keep: Literal["start", "end"] = "start",
    ) -> float:
        """Write one line.

        Args:
            x: Left end, center or right end, as `align` says.
            baseline: Baseline of the letters.
            text: Any text.
            width: Longer text is cut to this width, with an ellipsis.
            size: Size in points of 1/72 inch, at 100 pixels per inch.
            color: Any color of matplotlib.
            bold: Bold instead of regular.
            align: Part of the text that is at `x`.
            keep: End of a text that is kept when it is too long.

        Returns:
            The width in pixels.
        """
        font = _font(size, bold)
        text = _fitting(drawable(text), width, keep, lambda s: _measured(s, size, bold))
        self._figure.text(
            x / self.width,
            1 - baseline / self.height,
            text,
            fontproperties=font,
            color=color,
            ha=align,
            va="baseline",
            parse_math=False,
            usetex=False,
        )
        return _measured(text, size, bold)

    def pixels(self) -> Tensor:
        """The page, ``(3, height, width)`` uint8."""
        return pixels_of(self._figure, self._canvas)

    def save(self, file: str | Path, note: str = "") -> Path:
        """Write the page as a PNG, whole or not at all; equal pages give equal bytes.

        Args:
            file: The file.
            note: Text that `note_of` finds in it.
        """
        path = Path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomically(path) as out:
            marked = our_mark(**({_NOTE: note} if note else {}))
            pil_of(self.pixels()).save(out, "PNG", pnginfo=marked, compress_level=_LEVEL)
        return path


def note_of(file: Path) -> str | None:
    """The note in a page that was saved; None if there is no such picture."""
    try:
        with open_regular(file) as opened, Image.open(opened, formats=["PNG"]) as picture:
            return str(picture.info.get(_NOTE, ""))
    except Exception:  # whatever decoders raise: a damaged picture is drawn again
        return None


def pil_of(pixels: Tensor) -> Image.Image:
    """A picture ``(3, H, W)`` uint8 for Pillow."""
    return Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()))


def pixels_of(figure: Figure, below: np.ndarray | None = None) -> Tensor:
    """A figure of matplotlib as a picture, ``(3, H, W)`` uint8.

    Args:
        figure: The figure.
        below: What it is drawn on, ``(H, W, 3)`` uint8; matplotlib's own way to draw a picture takes twice as long.
    """
    canvas = FigureCanvasAgg(figure)
    renderer = canvas.get_renderer()
    drawn = np.asarray(canvas.buffer_rgba())  # what is drawn into
    if below is not None:
        drawn[..., :3], drawn[..., 3] = below, 255
    figure.draw(renderer)
    return torch.from_numpy(drawn[..., :3].copy()).permute(2, 0, 1)


def fitted(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """A picture ``(3, H, W)`` uint8 at another size."""
    if tuple(pixels.shape[1:]) == size:
        return pixels
    resized = pil_of(pixels).resize((size[1], size[0]), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(resized)).permute(2, 0, 1)


def _fitting(text: str, width: float | None, keep: str, measure: Callable[[str], float]) -> str:
    """The longest beginning, or end, of `text` that is no wider than `width` with its ellipsis."""
    if width is None or measure(text) <= width:
        return text
    low, high = 0, len(text)
    while low < high - 1:
        middle = (low + high) // 2
        low, high = (middle, high) if measure(_cut(text, middle, keep)) <= width else (low, middle)
    return _cut(text, low, keep)


def _cut(text: str, length: int, keep: str) -> str:
    return text[:length].rstrip() + _ELLIPSIS if keep == "start" else _ELLIPSIS + text[len(text) - length :].lstrip()


def drawable(text: str) -> str:
    """A text with boxes for what cannot be printed or the font lacks."""
    known = _glyphs()
    return "".join(c if c.isprintable() and ord(c) in known else _NO_GLYPH for c in text)


@lru_cache(maxsize=20_000)  # pages repeat names, and each is measured several times to be cut
def _measured(text: str, size: float, bold: bool) -> float:
    """The width of a text in pixels."""
    found = _renderer().get_text_width_height_descent(text, _font(size, bold), ismath=False)
    return float(found[0]) if text else 0.0


@lru_cache(maxsize=1)
def _renderer() -> RendererAgg:
    return FigureCanvasAgg(Figure(figsize=(1, 1), dpi=_DPI)).get_renderer()


def _font(size: float, bold: bool) -> FontProperties:
    return FontProperties(fname=_font_file(bold), size=size)


def _font_file(bold: bool) -> str:
    """The font that comes with matplotlib, whatever the machine and its settings have."""
    return str(Path(matplotlib.get_data_path(), "fonts", "ttf", f"DejaVuSans{'-Bold' if bold else ''}.ttf"))


@lru_cache(maxsize=1)
def _glyphs() -> frozenset[int]:
    """Code points that both weights can draw."""
    regular, heavy = (FT2Font(_font_file(bold)).get_charmap() for bold in (False, True))
    return frozenset(regular) & frozenset(heavy)
