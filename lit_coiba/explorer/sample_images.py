"""Pictures of samples by their ids: from a folder of images, or a dataset."""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image

from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.core.printable import printable
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.transforms import Transform
from lit_coiba.files.given_path import given_path
from lit_coiba.pictures.sample_pictures import sample_file, sample_picture

Images = str | os.PathLike[str] | ImageDataset | None


class SampleImages:
    """What the model saw of samples, where a folder or a dataset has them.

    Args:
        images: Folder that ids are relative to, or the dataset; None = nothing.
        preprocessing: How pictures became model input; None = they are shown as they are.

    Raises:
        InputError: There is no such folder.
    """

    def __init__(self, images: Images, preprocessing: Preprocessing | None) -> None:
        self.folder: Path | None = None
        self._dataset: ImageDataset | None = None
        self._numbers: dict[str, int] = {}
        self.unread: list[str] = []  # ids that were asked for in vain, the first ones
        if isinstance(images, ImageDataset):
            self._dataset, self._numbers = images, {name: k for k, name in enumerate(images.ids)}
        elif images is not None:
            self.folder = given_path(images, "images")
            if not self.folder.is_dir():
                raise InputError(
                    f"images: {printable(self.folder, 200)} is not a folder: give the folder that was data.root"
                )
        self._transform = None if preprocessing is None else Transform(preprocessing)

    def __bool__(self) -> bool:
        return self.folder is not None or self._dataset is not None

    def picture(self, name: str) -> Image.Image | None:
        """What the model saw of a sample; None where that is not known."""
        if not self:
            return None
        try:
            found = self._raw(name)
            if self._transform is None:
                return found
            return Image.fromarray(self._transform.pixels(found).permute(1, 2, 0).contiguous().numpy())
        except Exception:  # whatever a user's dataset raises
            if len(self.unread) < 100:
                self.unread.append(name)
            return None

    def version(self, name: str) -> str:
        """What changes when the picture does, as far as its file or its dataset says so."""
        try:
            if self.folder is not None:
                found = sample_file(self.folder, name).stat()
                return f"{found.st_size} {found.st_mtime_ns}"
            if self._dataset is not None and name in self._numbers:
                return self._dataset.version(self._numbers[name])
        except OSError:
            return "none"
        return ""

    def _raw(self, name: str) -> Image.Image:
        if self._dataset is not None:
            return self._dataset.image(self._numbers[name])
        assert self.folder is not None
        return sample_picture(self.folder, name)
