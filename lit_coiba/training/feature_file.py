"""Features in files, looked at before they are used: whole, of the shape that is expected, as they were written."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.files.digests import is_file_sealed, warn_undigested
from lit_coiba.files.json_text import read_json
from lit_coiba.files.npy_file import map_array
from lit_coiba.files.regular import clause

DTYPE = np.float16  # of features in a file
FEATURES, TARGETS, DIGESTS = ".npy", ".targets.npy", ".sha256.json"  # the files of a key


class Features(NamedTuple):
    """A batch of them."""

    values: Tensor  # (B, C, h, w)
    targets: Tensor  # as the data module gives them


class FeatureFile(Dataset[Features]):
    """Features in a file that is mapped into memory, and their targets; of each sample one of its views, by chance.

    Args:
        file: ``(views, N, C, h, w)``, fp16, a NumPy file.
        targets: ``(views, N, ...)``.
    """

    def __init__(self, file: Path, targets: Tensor) -> None:
        shape = (*targets.shape[:2], None, None, None)
        self.values: np.ndarray[Any, Any] = map_array(file, shape, DTYPE().dtype.kind)
        self.targets = targets

    def __len__(self) -> int:
        return self.targets.shape[1]

    def __getitem__(self, index: int) -> Features:
        batch = self.__getitems__([index])
        return Features(batch.values[0], batch.targets[0])

    def __getitems__(self, indices: list[int]) -> Features:
        """What a DataLoader asks for: a whole batch, in float32."""
        views = torch.randint(len(self.values), (len(indices),)) if len(self.values) > 1 else torch.zeros(len(indices))
        chosen = views.long().tolist()
        values = np.stack([self.values[view, index] for view, index in zip(chosen, indices)])
        return Features(torch.from_numpy(values).float(), self.targets[chosen, indices])


def opened(file: Path, views: int, count: int) -> FeatureFile:
    """The features and targets of `count` samples, in so many views.

    Raises:
        InputError: A file is gone, or its content is something else.
    """
    try:
        targets = map_array(file.with_suffix(TARGETS), (views, count), "iuf")
        return FeatureFile(file, torch.from_numpy(np.array(targets)))
    except OSError as error:
        raise InputError(
            f"cache: {printable(error.filename or file, 200)} cannot be used ({clause(error)}): remove it, and the same"
            " command makes it again"
        ) from error


def is_whole(file: Path, views: int, count: int) -> bool:
    """Whether features are there and are what was written; warns of those that are not, and of what cannot be known."""
    files = [file.with_suffix(kind) for kind in (FEATURES, TARGETS)]
    if not all(map(os.path.lexists, files)):
        return False
    try:
        opened(file, views, count)
        told: dict[str, str] = read_json(file.with_suffix(DIGESTS), dict[str, str], "cache")
        if all(is_file_sealed(file.with_suffix(kind), told.get(kind)) for kind in (FEATURES, TARGETS)):
            return True
        reason = "its content is not what its digest says"
    except FileNotFoundError:
        warn_undigested(file, "remove it to have it made again")
        return True
    except (InputError, OSError) as error:
        reason = printable(error, 200)
    warnings.warn(f"cache: {printable(file, 200)} is damaged and is made again ({reason})", stacklevel=2)
    return False
