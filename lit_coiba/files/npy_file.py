"""NumPy files of numbers, mapped into memory and looked at: the shape that is expected, and as long as they say."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lit_coiba.files.regular import open_regular


def map_array(file: Path, shape: Sequence[int | None], kinds: str) -> np.ndarray[Any, Any]:
    """An array in a ``.npy`` file, mapped read-only.

    Args:
        file: The file.
        shape: The length that each dimension has to have; None = any, and there may be more dimensions.
        kinds: Kinds of numbers that are taken, as in ``dtype.kind``.

    Raises:
        OSError: There is no such file, or its content is something else; `strerror` says what.
    """
    open_regular(file).close()
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except OSError:
        raise
    except Exception as error:  # whatever NumPy makes of bytes that are something else
        raise OSError(errno.EINVAL, "it is no array of numbers", str(file)) from error
    numbers = isinstance(array, np.memmap) and array.dtype.kind in kinds
    if not numbers or not array.dtype.isnative or array.dtype.itemsize > 8:  # which no tensor has
        raise OSError(errno.EINVAL, "it is no array of such numbers", str(file))
    if array.ndim < len(shape) or any(want not in (None, have) for want, have in zip(shape, array.shape)):
        raise OSError(errno.EINVAL, f"its shape is {array.shape}", str(file))
    if array.offset + array.nbytes != os.stat(file).st_size:
        raise OSError(errno.EINVAL, "it is longer than its array", str(file))
    return array
