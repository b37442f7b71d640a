"""A word about pictures of a few pixels, of which model input is mostly interpolation."""

from __future__ import annotations

from PIL import Image

from lit_coiba.core.printable import printable
from lit_coiba.data.once import Once
from lit_coiba.data.transforms import Transform

_ENORMOUS = 16  # times; 28 pixels become 256 without a word


class Enlarged:
    """Warns of the first picture that is enlarged more than 16 times.

    Args:
        transform: Transform that makes pictures model input.
    """

    def __init__(self, transform: Transform) -> None:
        self.transform = transform
        self._once = Once()

    def look(self, image: Image.Image, name: str) -> None:
        """Look at the size of a picture called `name`."""
        times = self.transform.enlargement(image.height, image.width)
        if times > _ENORMOUS:
            self._once.warn(
                f"images are enlarged more than {_ENORMOUS} times to fit the model, such as {printable(name, 100)} of "
                f"{image.width} x {image.height} pixels ({times:.0f} times): their explanations say little"
            )
