"""The samples that a stage of Lightning's begins with."""

from __future__ import annotations

from typing import Any

from lit_coiba.core.errors import InputError
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.module import BlockDataModule
from lit_coiba.data.passes import Split


def samples_of(data: Any, stage: str) -> ImageDataset | None:
    """The samples that a stage of Lightning's begins with, ``fit`` with those of training.

    None where there is no such split, or the data module is not of this package.
    """
    splits: dict[str, Split] = {"fit": "train", "validate": "val", "test": "test", "predict": "predict"}
    if not isinstance(data, BlockDataModule):
        return None
    try:
        return data.dataset(splits[stage])
    except (InputError, KeyError):  # said where its batches are asked for
        return None
