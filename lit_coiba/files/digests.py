"""The digest that a file of ours carries, so that a flipped bit is noticed: made at writing, compared at reading.

Files of version 0.1.0 carry none. They open, and whoever reads them says that damage cannot be seen.
"""

from __future__ import annotations

import errno
import hashlib
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lit_coiba.core.printable import printable
from lit_coiba.files.regular import open_regular

KEY = "sha256"  # of a JSON file: the digest of all its other keys
_PIECE = 2**20


def digest_of_values(told: Mapping[str, Any]) -> str:
    """SHA-256 of plain values, but for `KEY`."""
    rest = {name: value for name, value in told.items() if name != KEY}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sealed(told: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values with their digest, to be written as JSON.

    Example:
        >>> is_sealed(sealed({"a": 1})), is_sealed({**sealed({"a": 1}), "a": 2}), is_sealed({"a": 1})
        (True, False, None)
    """
    plain = json.loads(json.dumps(told))  # as JSON gives them back
    return {**plain, KEY: digest_of_values(plain)}


def is_sealed(told: Mapping[str, Any]) -> bool | None:
    """Whether plain values are those that their digest is of; None where they carry none."""
    return None if KEY not in told else told[KEY] == digest_of_values(told)


def digest_of_file(path: Path, limit: int | None = None) -> str:
    """SHA-256 of the content of a regular file, of at most `limit` bytes.

    Raises:
        OSError: It cannot be read.
    """
    if limit is not None and path.stat().st_size > limit:
        raise OSError(errno.EFBIG, f"it has more than {limit:,} bytes", str(path))
    sha = hashlib.sha256()
    with open_regular(path) as file:
        while piece := file.read(_PIECE):
            sha.update(piece)
    return sha.hexdigest()


def seal_of_file(path: Path) -> str:
    """Size and SHA-256 of a file, to be kept in another one beside it.

    Raises:
        OSError: It cannot be read.
    """
    return f"{path.stat().st_size}-{digest_of_file(path)}"


def is_file_sealed(path: Path, seal: object) -> bool:
    """Whether a file is the one that `seal_of_file` was made of; of another size, it is not even read.

    Raises:
        OSError: It cannot be read.
    """
    open_regular(path).close()
    return isinstance(seal, str) and seal.startswith(f"{path.stat().st_size}-") and seal == seal_of_file(path)


def warn_undigested(file: object, remedy: str) -> None:
    """Say of a file without a digest what cannot be known of it."""
    warnings.warn(
        f"{printable(file)} was written by an older version and carries no digest, so damage to it cannot be seen:"
        f" {remedy}",
        stacklevel=3,
    )
