"""The few images that are explained again and again while a model trains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.core.printable import a_kind
from lit_coiba.data.in_hand import load_images


class ProbeSet(NamedTuple):
    """Images, always the same ones."""

    images: Tensor  # (n, 3, H, W) normalized model input, on the CPU
    labels: Tensor  # (n,) int64; -1 = not known

    @property
    def ids(self) -> tuple[str, ...]:
        """Their numbers, as ids of samples."""
        return tuple(f"{number:04}" for number in range(len(self.images)))

    def first(self, count: int) -> ProbeSet:
        """The first `count` of them, or all."""
        return ProbeSet(self.images[:count], self.labels[:count])

    @classmethod
    def of(cls, given: Any, preprocessing: Preprocessing) -> ProbeSet:
        """Images that someone gives.

        Args:
            given: Model input ``(n, 3, H, W)`` or a list of ``(3, H, W)``; a loader of batches, with labels if they
                have some; or a list of files or PIL pictures.
            preprocessing: How files and pictures become model input.

        Raises:
            InputError: It is none of these, or there is no image in it.
        """
        if isinstance(given, Tensor):
            given = [given]
        if isinstance(given, str | Path | Image.Image):
            given = [given]
        if not isinstance(given, Iterable):
            raise InputError(f"images is {a_kind(given)}: give a number, images (n, 3, H, W), a loader or files")
        if not (parts := list(given)):
            raise InputError("images is empty: give at least one image")
        if all(isinstance(part, str | Path | Image.Image) for part in parts):
            parts = [load_images(parts, preprocessing)]
        single = all(isinstance(part, Tensor) and part.dim() == 3 for part in parts)
        return cls._joined([cls.in_batch(part) for part in ([torch.stack(parts)] if single else parts)])

    @classmethod
    def in_batch(cls, batch: Any) -> ProbeSet:
        """Images and labels of one batch: the first part ``(B, 3, H, W)``, and of what follows the first ``(B,)``.

        Of targets that are probabilities ``(B, K)`` the label is the most probable class.

        Raises:
            InputError: There are no images in it.
        """
        whole = [batch] if isinstance(batch, Tensor) else batch.values() if isinstance(batch, Mapping) else batch
        parts = [part for part in whole if isinstance(part, Tensor)] if isinstance(whole, Iterable) else []
        images = next((part for part in parts if part.dim() == 4 and part.shape[1] == 3), None)
        if images is None or not len(images) or not images.is_floating_point():
            raise InputError(
                f"a batch is {a_kind(batch)} without images (B, 3, H, W): give images that are explained, such as a"
                " tensor of model input"
            )
        labels = torch.full((len(images),), -1)
        for part in parts:
            if part is not images and len(part.shape) in (1, 2) and len(part) == len(images):
                labels = part.argmax(-1) if part.dim() == 2 else part
                break
        return cls(images.detach().to("cpu", copy=True), labels.detach().to("cpu", torch.int64, copy=True))

    @classmethod
    def _joined(cls, parts: list[ProbeSet]) -> ProbeSet:
        return cls(torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts]))


class PassingImages:
    """The first images of a validation, kept as they go by: nothing is read or drawn for it.

    Args:
        count: Number of images.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._parts: list[ProbeSet] = []

    def __len__(self) -> int:
        return sum(len(part.images) for part in self._parts)

    def begin(self) -> None:
        """A validation begins: what another one has left unfinished is forgotten."""
        if not self.complete:
            self._parts = []

    def add(self, batch: Any) -> None:
        """Keep what there is still room for."""
        if (room := self.count - len(self)) > 0:
            self._parts.append(ProbeSet.in_batch(batch).first(room))

    @property
    def complete(self) -> bool:
        """Whether all of them have come."""
        return len(self) >= self.count

    def all(self) -> ProbeSet:
        """Those that have come."""
        return ProbeSet._joined(self._parts)
