"""Pictures as people have them in hand: files, PIL pictures, arrays, tensors, batches and lists of these."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from lit_coiba.core.batch import Batch
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.core.printable import printable
from lit_coiba.data.files.image_file import read_image
from lit_coiba.data.files.pixel_values import to_rgb
from lit_coiba.data.transforms import Transform

Pictures = Image.Image | str | os.PathLike[str] | np.ndarray | Tensor | Sequence[Any] | Iterator[Any]

_SLACK = 0.02  # of pixels in [0, 1]: what rounding and resampling may add to model input
_CHANNELS = (1, 3, 4)
_REMEDIES = {
    "images": "give pixels, or for normalized images also their model, model=...",
    "pictures": "give pixels; normalized images are model input already",
}
_KINDS = "give a file, a PIL picture, an array or tensor (H, W, 3) or (3, H, W), a batch of these, or a list"


def load_images(pictures: Pictures, model: Any) -> Tensor:
    """Pictures as model input ``(B, 3, H, W)``, by the same resize, crop and normalization as in `explain`.

    Args:
        pictures: A file, a PIL picture, an array or a tensor of pixels (bytes, or numbers in [0, 1]; ``(H, W, 3)`` or
            ``(3, H, W)``), a batch of these, or a list. What is transparent becomes white.
        model: The model, or its `Preprocessing`.

    Returns:
        ``(B, 3, H, W)`` float32; one picture is a batch of one.

    Raises:
        InputError: A file cannot be read, or something else was given.

    Example:
        >>> load_images(Image.new("RGB", (300, 200)), Preprocessing()).shape
        torch.Size([1, 3, 224, 224])
    """
    transform = Transform(recipe_of(model))
    return torch.stack([transform(F.to_pil_image(pixels)) for pixels in pixels_of(pictures, "pictures")])


def pixels_of(given: Pictures, name: str, preprocessing: Preprocessing | None = None) -> list[Tensor]:
    """The pixels of pictures, ``(3, H, W)`` uint8 each.

    Args:
        given: The pictures; see `load_images`.
        name: What to call them in an error: ``images`` or ``pictures``.
        preprocessing: How they become input of a model. Then the pixels are those that the model sees: model input is
            undone, files, PIL pictures and pixels of another size are resized and cropped. Numbers that all lie in
            [0, 1] are pixels, others model input.

    Raises:
        InputError: A file cannot be read, something else was given, or numbers are neither pixels nor model input.
    """
    if isinstance(given, Batch):  # of a data module
        given = given.images
    if isinstance(given, (list, tuple, Iterator)):
        given = list(given)
        if not given:
            raise InputError(f"{name} is empty: {_KINDS}")
        return [pixels for one in given for pixels in pixels_of(one, name, preprocessing)]
    if isinstance(given, (str, os.PathLike)):
        given = _read(Path(given), name)
    if isinstance(given, Image.Image):
        picture = on_white(given, name)
        return [Transform(preprocessing).pixels(picture) if preprocessing else F.pil_to_tensor(picture).contiguous()]
    if not isinstance(given, (np.ndarray, Tensor)):
        raise InputError(f"{name} is of type {type(given).__name__}: {_KINDS}")
    planes = _planes(given, name)
    pixels, is_input = _bytes(planes, name, preprocessing)
    if preprocessing is None or is_input or tuple(pixels.shape[-2:]) == tuple(preprocessing.size):
        return list(pixels)
    return [Transform(preprocessing).pixels(F.to_pil_image(one)) for one in pixels]


def recipe_of(model: Any) -> Preprocessing:
    """The preprocessing of a model, or the one that was given in its place.

    Raises:
        InputError: It has none.
    """
    found = model if isinstance(model, Preprocessing) else getattr(model, "preprocessing", None)
    if not isinstance(found, Preprocessing):
        raise InputError(
            f"model is a plain {type(model).__name__}: wrap it first, Backbone.wrap(model, image_size=...), or give its"
            " Preprocessing"
        )
    return found


def on_white(picture: Image.Image, name: str) -> Image.Image:
    """A PIL picture as RGB, with white where it is transparent.

    Raises:
        InputError: Its pixels have no defined range.
    """
    try:
        return to_rgb(picture)
    except ValueError as error:
        raise InputError(f"{name}: {printable(error, 200)}") from error


def _read(file: Path, name: str) -> Image.Image:
    if file.expanduser().is_dir():
        raise InputError(f"{name}: {printable(file, 200)} is a folder: give files, or read it by ImageFolder")
    try:
        return read_image(file.expanduser())
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: {printable(file, 200)} cannot be read: {printable(error, 200)}") from error


def _planes(given: np.ndarray | Tensor, name: str) -> Tensor:
    """An array or tensor as ``(B, 3, H, W)`` of its own numbers, or ``(B, 4, H, W)``."""
    shape = tuple(given.shape)
    if isinstance(given, np.ndarray):
        if given.dtype.kind not in "uif" or given.dtype.itemsize > 8:
            raise InputError(f"{name} is an array of {given.dtype}: give bytes, or numbers in [0, 1]")
        values = torch.from_numpy(np.ascontiguousarray(given.astype(given.dtype.newbyteorder("="))))
        last = True  # colors come last in arrays, first in tensors, unless only the other place fits
    else:
        values, last = given.detach().cpu(), False
    if values.is_complex() or values.dtype == torch.bool:
        raise InputError(f"{name} is of {values.dtype}: give bytes, or numbers in [0, 1]")
    if values.dim() == 2:  # gray
        values, last = values[None], False
    values = values[None] if values.dim() == 3 else values
    places = ((-1, 1) if last else (1, -1)) if values.dim() == 4 and 0 not in shape else ()
    fits = [place for place in places if values.shape[place] in _CHANNELS]
    if not fits:
        raise InputError(f"{name} has shape {shape}: {_KINDS}")
    values = values.movedim(fits[0], 1)
    return values.expand(-1, 3, -1, -1) if values.shape[1] == 1 else values


def _bytes(values: Tensor, name: str, preprocessing: Preprocessing | None) -> tuple[Tensor, bool]:
    """Numbers ``(B, C, H, W)`` as pixels ``(B, 3, H, W)`` uint8, and whether they were model input."""
    low, high = (float(value) for value in values.double().aminmax()) if values.dtype != torch.uint8 else (0.0, 255.0)
    span = f"from {low:.4g} to {high:.4g}"
    if not values.is_floating_point():
        if low < 0 or high > 255:
            raise InputError(f"{name} has whole numbers {span}: give bytes, 0 to 255")
        return _without_alpha(values.to(torch.uint8)), False
    if not values.isfinite().all():
        raise InputError(f"{name} has numbers that are not finite: give pixels in [0, 1]")
    if low >= -1e-4 and high <= 1 + 1e-4:
        return _without_alpha((values.double().clamp(0, 1) * 255).round().to(torch.uint8)), False
    if preprocessing is None or values.shape[1] != 3:
        remedy = "divide them by 255" if low >= 0 and 1.5 < high <= 255 else _REMEDIES[name]
        raise InputError(f"{name} has numbers {span}, which are not pixels in [0, 1]: {remedy}")
    pixels = preprocessing.denormalize(values.double())
    if pixels.min() < -_SLACK or pixels.max() > 1 + _SLACK:
        raise InputError(
            f"{name} has numbers {span}, which are neither pixels in [0, 1] nor normalized by this model's mean and"
            " std: give pixels, or model.normalize(pixels)"
        )
    return (pixels.clamp(0, 1) * 255).round().to(torch.uint8), True


def _without_alpha(pixels: Tensor) -> Tensor:
    """``(B, 3 or 4, H, W)`` uint8 as ``(B, 3, H, W)``, over white where it is transparent."""
    if pixels.shape[1] == 3:
        return pixels
    alpha = pixels[:, 3:].float() / 255
    return (pixels[:, :3].float() * alpha + 255 * (1 - alpha)).round().to(torch.uint8)
