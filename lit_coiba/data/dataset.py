"""What every dataset of images owes: stable ids, labels, pixels, and where the object and its parts are."""

from abc import ABC, abstractmethod

from PIL import Image
from torch import Tensor

from lit_coiba.data.keypoints import Keypoints


class ImageDataset(ABC):
    """Images in a fixed order: sorted by id, the same on every machine and in every process."""

    ids: list[str]  # unique and sorted
    labels: list[int]  # class index per sample; -1 = no label
    classes: list[str]  # class names, in index order; empty = unknown

    def __len__(self) -> int:
        return len(self.ids)

    @abstractmethod
    def image(self, index: int) -> Image.Image:
        """The sample as an RGB image.

        Raises:
            OSError: The file cannot be read; the message says why.
        """

    def region(self, index: int) -> Tensor | None:
        """Where the object is, a mask ``(H, W)`` in pixels of `image`; None = unknown."""
        return None

    def parts(self, index: int) -> Keypoints | None:
        """Where the parts of the object are, in pixels of `image`; None = unknown."""
        return None
