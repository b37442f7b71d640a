"""Pictures and figures of a verb for TensorBoard, in place of those of an earlier call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lit_coiba.callbacks.unwritable import unwritable_is_a_warning

EVENTS = ".lit-coiba"  # how the names of event files end that are replaced


@contextmanager
def event_log(folder: Path) -> Iterator[Any]:
    """The writer of a new log in ``folder/tensorboard``.

    Logs are no result: where they cannot be written, the rest is there nevertheless.
    """
    from torch.utils.tensorboard import SummaryWriter  # takes a second

    with unwritable_is_a_warning("the TensorBoard log"), suppress(FileNotFoundError):  # another run draws it anew
        for old in (folder / "tensorboard").glob(f"events.out.tfevents.*{EVENTS}"):
            old.unlink(missing_ok=True)
        with SummaryWriter(str(folder / "tensorboard"), filename_suffix=EVENTS) as writer:
            yield writer


def add_picture(writer: Any, tag: str, file: Path) -> None:
    """A PNG as an image of the log."""
    with Image.open(file) as picture:
        writer.add_image(tag, np.asarray(picture.convert("RGB")), 0, dataformats="HWC")
