"""How the saliency of the same few images changes while a model is trained: one picture for TensorBoard each time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.pictures.painting import painted, painted_over

GAP = 2  # pixels between pictures


class SaliencyPictures:
    """Rows of pictures: the images, where people say the evidence is if that is known, and the saliency.

    Args:
        count: Number of images at most, the first of the validation.
    """

    def __init__(self, count: int = 8) -> None:
        self.count = count
        self._kept: list[tuple[Tensor, ...]] = []

    def begin(self) -> None:
        """Forget those of the last validation."""
        self._kept = []

    def add(self, images: Tensor, saliency: Tensor, importance: Tensor | None = None) -> None:
        """Keep what there is still room for.

        Args:
            images: Normalized model input ``(B, 3, H, W)``.
            saliency: Maps ``(B, H, W)``.
            importance: Maps ``(B, H, W)``; None = unknown.
        """
        rows = (images, saliency) if importance is None else (images, importance, saliency)
        for parts in zip(*rows):
            if len(self._kept) == self.count:
                return
            self._kept.append(tuple(part.detach().float().cpu().clone() for part in parts))

    def picture(self, preprocessing: Preprocessing) -> Tensor | None:
        """The picture, uint8 ``(3, H', W')``; None where nothing was kept."""
        if not self._kept:
            return None
        columns = [self._column(parts, preprocessing) for parts in self._kept]
        return torch.cat(columns, 2)[:, :-GAP, :-GAP]

    def log(self, module: Any, tag: str = "saliency") -> None:
        """Give the picture to the loggers of a module's Trainer that take pictures, on the first process."""
        trainer = module.trainer
        if not trainer.is_global_zero or trainer.sanity_checking:
            return
        picture = self.picture(module.preprocessing)
        for logger in trainer.loggers if picture is not None else ():
            add = getattr(getattr(logger, "experiment", None), "add_image", None)
            if add is not None:
                add(tag, picture, trainer.global_step)

    def _column(self, parts: tuple[Tensor, ...], preprocessing: Preprocessing) -> Tensor:
        image, *maps = parts
        pixels = (preprocessing.denormalize(image).clamp(0, 1) * 255).round().to(torch.uint8)
        size = (pixels.shape[1], pixels.shape[2])
        shown = [pixels, *(painted_over(pixels, map) for map in maps[:-1]), painted(maps[-1], size)]
        return torch.cat([torch.nn.functional.pad(one, (0, GAP, 0, GAP), value=255) for one in shown], 1)
