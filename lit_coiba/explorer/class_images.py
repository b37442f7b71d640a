"""The pictures of the samples of a class, each written once however many pages show it."""

from __future__ import annotations

from collections.abc import Mapping

from lit_coiba.explorer.media import Media
from lit_coiba.explorer.page_data import Picture
from lit_coiba.explorer.sample_images import SampleImages
from lit_coiba.explorer.sources import shown


class ClassImages:
    """Pictures of samples by their ids: those that the concept run has, else those of the images that were given.

    Args:
        media: Where they are written.
        numbers: Id -> place among the samples of the class, which names the file.
        kept: Id -> WebP, of the concept run.
        images: Where the others come from.
        prefix: Kind of picture in the names of the files.
    """

    def __init__(
        self,
        media: Media,
        numbers: Mapping[str, int],
        kept: Mapping[str, bytes],
        images: SampleImages,
        prefix: str = "image",
    ) -> None:
        self._media, self._numbers, self._kept, self._images = media, numbers, kept, images
        self._made: dict[str, Picture | None] = {}
        self._prefix = prefix

    def of(self, name: str) -> Picture | None:
        """The picture of a sample; None where nobody has it."""
        if name not in self._made:
            content = self._kept.get(name) or self._images.picture(name)
            number = self._numbers.get(name)
            file = None if number is None else f"{self._prefix}-{number:04d}"
            alt = f"sample {shown(name)}"
            self._made[name] = None if file is None else self._media.picture(content, file, alt)
        return self._made[name]
