"""What tells a picture of ours from others': only these are replaced and removed."""

from __future__ import annotations

from PIL.PngImagePlugin import PngInfo

from lit_coiba.files.owned import begins

KEY, NAME = "Software", "lit-coiba"  # a text in the PNG

is_our_png = begins(f"tEXt{KEY}\0{NAME}", within=256)  # before the pixels, where Pillow puts it


def our_mark(**texts: str) -> PngInfo:
    """Texts to save a PNG with: the mark, and others by their keys."""
    mark = PngInfo()
    for key, text in {KEY: NAME, **texts}.items():
        mark.add_text(key, text)
    return mark
