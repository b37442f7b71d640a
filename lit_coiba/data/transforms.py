"""From a picture to model input: timm's evaluation recipe, and the same geometry for masks and keypoints."""

from __future__ import annotations

import math

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import MAX_PIXELS, Preprocessing
from lit_coiba.data.keypoints import Keypoints
from lit_coiba.data.small_regions import keep_small


class Transform:
    """A picture as normalized model input; equals timm's ``create_transform(is_training=False)``.

    Pillow resizes the picture to ``floor(size / crop_pct)`` in the way of the `crop_mode`, the center is cropped to
    `size`, pixels in [0, 1] are normalized. A picture that already has the size stays unchanged where ``crop_pct`` is
    1.

    Example:
        >>> Transform(Preprocessing(size=(32, 48), crop_pct=0.9))(Image.new("RGB", (200, 100))).shape
        torch.Size([3, 32, 48])
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        self.preprocessing = preprocessing
        self.interpolation = InterpolationMode(preprocessing.interpolation)
        self.mean = torch.tensor(preprocessing.mean).view(3, 1, 1)
        self.std = torch.tensor(preprocessing.std).view(3, 1, 1)
        border = preprocessing.crop_mode == "border"
        self.fill = [round(255 * value) if border else 0 for value in preprocessing.mean]

    def __call__(self, image: Image.Image) -> Tensor:
        """A picture as ``(3, H, W)`` float32 model input."""
        return self.normalize(self.pixels(image))

    def pixels(self, image: Image.Image) -> Tensor:
        """A picture after resize and crop, ``(3, H, W)`` uint8.

        Raises:
            InputError: The picture is so elongated that its resized copy would not fit in memory.
        """
        image = image if image.mode == "RGB" else image.convert("RGB")
        resized = F.resize(image, list(self.resized(image.height, image.width)), self.interpolation)
        # contiguous: planes taken from a PIL picture lie interleaved, and a stack of them would stay channels-last
        return F.pil_to_tensor(self._crop(resized, self.fill)).contiguous()

    def normalize(self, pixels: Tensor) -> Tensor:
        """Pixels ``(..., 3, H, W)`` uint8 as float32 model input."""
        return pixels.float().div_(255).sub_(self.mean).div_(self.std)

    def region(self, mask: Tensor) -> Tensor:
        """A mask ``(H, W)`` in pixels of the picture as a bool mask in pixels of the model input (nearest).

        Of an object that is smaller than a pixel of the model input, the pixel of its center is kept.
        """
        plane = F.to_pil_image(mask.to(torch.uint8).unsqueeze(0))  # by Pillow too: it rounds ties its own way
        resized = F.resize(plane, list(self.resized(*mask.shape)), InterpolationMode.NEAREST)
        kept = keep_small(mask.bool(), F.pil_to_tensor(resized)[0].bool())
        plane = F.to_pil_image(kept.to(torch.uint8).unsqueeze(0))
        return F.pil_to_tensor(self._crop(plane, [0]))[0].bool()

    def importance(self, map: Tensor) -> Tensor:
        """A map ``(H, W)`` of 0 or more in pixels of the picture as one in pixels of the model input (bilinear)."""
        height, width = map.shape
        resized = F.resize(plane_of(map), list(self.resized(height, width)), InterpolationMode.BILINEAR)
        values: Tensor = F.pil_to_tensor(self._crop(resized, [0]))
        return values[0]

    def keypoints(self, points: Keypoints, height: int, width: int) -> Keypoints:
        """Points on a picture of this size as points on the model input; those that are cut off are not visible."""
        resized = self.resized(height, width)
        scale = points.xy.new_tensor([resized[1] / width, resized[0] / height])
        corner = [_cut(side, size) for side, size in zip(resized, self.preprocessing.size)]
        xy = points.xy * scale - points.xy.new_tensor(corner[::-1])
        inside = (xy >= 0).all(-1) & (xy < xy.new_tensor(self.preprocessing.size[::-1])).all(-1)
        return Keypoints(points.names, xy, points.visible & inside)

    def whole(self, map: Tensor, height: int, width: int) -> Tensor:
        """A map of the model input as one of the whole picture, 0 where the model does not see it.

        Args:
            map: ``(H, W)`` at the size of the model input.
            height: Of the picture, in pixels.
            width: The same.

        Returns:
            At the size of the picture's resized copy, before the crop.
        """
        resized, size = self.resized(height, width), self.preprocessing.size
        found = map.new_zeros(resized)
        cuts = [_cut(side, kept) for side, kept in zip(resized, size)]
        rows, columns = (slice(max(cut, 0), max(cut, 0) + min(s, k)) for cut, s, k in zip(cuts, resized, size))
        top, left = (max(-cut, 0) for cut in cuts)
        found[rows, columns] = map[top : top + rows.stop - rows.start, left : left + columns.stop - columns.start]
        return found

    def keeps(self, height: int, width: int) -> bool:
        """Whether a picture of this size passes without resize and crop."""
        return self.resized(height, width) == (height, width) == tuple(self.preprocessing.size)

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of a picture of this size after the resize, before the crop.

        Raises:
            InputError: The picture is so elongated that its resized copy would not fit in memory.
        """
        size = self._resized(height, width)
        if size[0] * size[1] > MAX_PIXELS:
            raise InputError(
                f"an image of {width} x {height} pixels is too elongated to be resized to {self._target()}"
            )
        return size

    def enlargement(self, height: int, width: int) -> float:
        """How many times larger a picture of this size becomes, along the side that grows most."""
        resized = self._resized(height, width)
        return max(resized[0] / height, resized[1] / width)

    def _target(self) -> list[int]:
        return [math.floor(side / self.preprocessing.crop_pct) for side in self.preprocessing.size]

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        """As in timm, of a center crop a square target rounds the longer side down, any other one rounds to nearest."""
        target, mode = self._target(), self.preprocessing.crop_mode
        if mode == "squash":
            return target[0], target[1]
        if mode == "center" and target[0] == target[1]:
            short, long = sorted((height, width))
            longer = int(target[0] * long / short)
            return (target[0], longer) if height <= width else (longer, target[0])
        ratio = (max if mode == "border" else min)(height / target[0], width / target[1])
        return max(round(height / ratio), 1), max(round(width / ratio), 1)

    def _crop(self, image: Image.Image, fill: list[int]) -> Image.Image:
        """The middle of a picture, with `fill` beside it where the picture is smaller."""
        height, width = self.preprocessing.size
        top, left = _cut(image.height, height), _cut(image.width, width)
        if min(top, left) < 0 or image.height < height or image.width < width:
            right, bottom = max(width - image.width, 0), max(height - image.height, 0)
            before = [right // 2, bottom // 2]
            image = F.pad(image, [*before, right - before[0], bottom - before[1]], fill=fill)
        cropped: Image.Image = F.crop(image, max(top, 0), max(left, 0), height, width)
        return cropped


def plane_of(map: Tensor) -> Image.Image:
    """A map ``(H, W)`` as a picture of one plane, for Pillow, which resizes it as it does the picture."""
    return Image.fromarray(map.float().contiguous().numpy())


def _cut(side: int, size: int) -> int:
    """Where the middle `size` pixels of `side` begin, as torchvision rounds; negative = so much padding before."""
    return round((side - size) / 2) if side >= size else -((size - side) // 2)
