"""The pictures that were explained, found again by their ids, and how they became model input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.core.printable import printable
from lit_coiba.data.files.image_file import read_image


def sample_file(folder: Path, name: str) -> Path:
    """The file of a sample below a folder; a run that someone else made names none outside of it.

    Raises:
        OSError: It would lie elsewhere.
    """
    if ".." in name.replace("\\", "/").split("/") or Path(name).is_absolute():
        raise OSError("the file is not below that folder")
    return folder / name


def sample_picture(folder: Path, name: str) -> Image.Image:
    """The picture of a sample below a folder.

    Raises:
        OSError, ValueError: It would lie elsewhere, or cannot be read.
    """
    return read_image(sample_file(folder, name))


def recipe(told: Any, run: Path) -> Preprocessing:
    """How pictures became model input when a run was made.

    Args:
        told: The preprocessing in its manifest.
        run: Its folder, for the message.

    Raises:
        InputError: It does not say.
    """
    try:
        values: Any = {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}
        return Preprocessing(**values)
    except (AttributeError, TypeError, InputError) as error:
        raise InputError(
            f"store {printable(run, 200)} does not say how its pictures became model input: explain them again"
        ) from error
