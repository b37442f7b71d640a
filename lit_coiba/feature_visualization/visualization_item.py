"""One optimized image on disk: what it is of, how it came out, and two pictures of it, all in place at once."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from PIL import Image
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.files.atomic import atomically, sync_folder, temporary_folder
from lit_coiba.files.digests import is_file_sealed, is_sealed, seal_of_file, sealed
from lit_coiba.files.json_text import read_json, typed
from lit_coiba.files.tensor_file import read_safe_tensors, write_safe_tensors

Kind = Literal["class", "concept", "unit", "channel", "neuron", "target", "embedding"]

TOLD, PICTURE, TRANSPARENCY = "item.json", "picture.webp", "transparency.webp"
FEATURES = "features.safetensors"  # of the held-out crops, averaged; left out where the model has none
QUALITY = 90  # of the pictures
LIMIT = 2**20  # bytes of the text
AGAIN = "run lit-coiba visualize again"

_NotNegative = Annotated[int, msgspec.Meta(ge=0)]


class VisualizationItem(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an optimized image. What was not measured is None.

    Scores are those of its objective. `held_out` is the score over crops that the image was not optimized on, and
    `held_out_real` that of the best natural image; `transferability` has the logit and the probability of the class
    under other models, by their names. All measures are ours: see `lit_coiba.feature_visualization.measures`.
    """

    key: str  # name of its folder
    kind: Kind
    name: str  # for people
    method: str  # class of the visualizer
    steps: _NotNegative
    of: str  # digest of what it was optimized for
    score_first: float  # mean over the crops of the first step
    score_last: float  # and of the last one
    cls: _NotNegative | None = None  # number of the class
    concept: _NotNegative | None = None  # number of the concept of the class
    layer: str | None = None
    unit: _NotNegative | None = None  # of a head, or channel of the layer
    side: Literal[1, -1] | None = None  # of the unit
    magnitude_error: float | None = None  # of the spectrum, as a share of its largest magnitude
    held_out: float | None = None
    held_out_real: float | None = None
    plausibility: float | None = None
    transferability: dict[str, tuple[float, float]] = {}


class _Told(VisualizationItem, frozen=True, kw_only=True):
    files: dict[str, str]  # seals of the files beside it, by name
    sha256: str


def write_item(folder: Path, item: VisualizationItem, picture: Tensor, alpha: Tensor, features: Tensor | None) -> bool:
    """Put a folder in place that has everything of an item, or nothing of it.

    Args:
        folder: Folder of all items; made where there is none.
        item: What is known.
        picture: RGB ``(3, H, W)`` in [0, 1].
        alpha: Opacity ``(H, W)`` in [0, 1].
        features: Features ``(C,)``.

    Returns:
        Whether it is this one that is in place: another process may have been faster.

    Raises:
        OSError: It cannot be written.
        InputError: Something else has its name.
    """
    place = folder / item.key
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.concatenate([_bytes(picture), _bytes(alpha[None])], -1)
    with temporary_folder(place) as aside:
        for name, mode, channels in ((PICTURE, "RGB", 3), (TRANSPARENCY, "RGBA", 4)):
            with atomically(aside / name) as out:
                Image.fromarray(pixels[..., :channels], mode).save(out, "WEBP", quality=QUALITY)
        if features is not None:
            write_safe_tensors(aside / FEATURES, {"features": features.detach().float().cpu()}, {})
        seals = {file.name: seal_of_file(file) for file in sorted(aside.iterdir())}
        with atomically(aside / TOLD) as out:
            out.write(json.dumps(sealed({**msgspec.to_builtins(item), "files": seals}), allow_nan=False).encode())
        for _ in range(2):
            if is_whole(place):
                return False
            shutil.rmtree(place, ignore_errors=True)
            try:
                os.rename(aside, place)
            except OSError:  # another process has made it meanwhile
                continue
            sync_folder(folder)
            return True
    if not is_whole(place):
        raise InputError(f"output: {printable(place, 200)} is in the way of an item: move it away")
    return False


def read_item(place: Path) -> VisualizationItem:
    """What is known of the item in a folder, after a look at all its files.

    Raises:
        FileNotFoundError: There is none.
        InputError: It is damaged; the message says so.
    """
    told = read_json(place / TOLD, dict[str, Any], "item", LIMIT)
    try:
        found: _Told = typed(told, _Told)
        whole = is_sealed(told) and found.key == place.name and {PICTURE, TRANSPARENCY} <= found.files.keys()
        whole = whole and all(Path(name).name == name for name in found.files)
        whole = whole and all(is_file_sealed(place / name, seal) for name, seal in found.files.items())
    except (OSError, ValueError) as error:
        raise InputError(f"item: {printable(place, 200)} is damaged ({printable(error, 200)})") from error
    if not whole:
        raise InputError(f"item: {printable(place, 200)} is damaged, since its content is not what its digest says")
    return typed({name: told[name] for name in VisualizationItem.__struct_fields__ if name in told}, VisualizationItem)


def read_features(place: Path) -> Tensor | None:
    """The features ``(C,)`` of the item in a folder; None where the model has none.

    Raises:
        InputError: The file is something else.
    """
    if not (place / FEATURES).exists():
        return None
    tensors = read_safe_tensors(place / FEATURES, "features:", AGAIN).content
    found = tensors.get("features")
    if found is None or found.dim() != 1 or not found.is_floating_point():
        raise InputError(f"features: {printable(place, 200)} has none, but another tensor: {AGAIN}")
    return found.float()


def is_whole(place: Path) -> bool:
    """Whether a folder has an item, and all of it."""
    try:
        read_item(place)
    except (OSError, InputError):
        return False
    return True


def finite(value: float) -> float | None:
    """A number as JSON can hold it."""
    return value if np.isfinite(value) else None


def _bytes(pixels: Tensor) -> np.ndarray[Any, Any]:
    """Values ``(C, H, W)`` in [0, 1] as bytes ``(H, W, C)``."""
    found: np.ndarray[Any, Any] = (pixels.detach().float().cpu() * 255).round().byte().permute(1, 2, 0).numpy()
    return found
