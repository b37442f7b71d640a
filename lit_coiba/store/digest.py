"""One number for everything a store says, whatever the blocks, files and processes that wrote it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

import numpy as np

from lit_coiba.store.records import PREDICTION, Row


def content_digest(rows: Iterable[Row], failed: Iterable[str]) -> str:
    """Hexadecimal SHA-256 over all rows by (id, target), exact to the last bit, and the ids of failed samples.

    Rows may come in any order; 32 bytes of each are kept. A failure's reason is left out: it may name paths and
    versions, which do not change what a run found. So is what the model predicts beside what is explained, which
    older stores do not have.
    """
    entries = sorted(((row.id, row.target), row_digest(row)) for row in rows)
    total = hashlib.sha256()
    for _, digest in entries:
        total.update(digest)
    total.update(json.dumps(["failed", *sorted(set(failed))]).encode())
    return total.hexdigest()


def row_digest(row: Row) -> bytes:
    """SHA-256 of one row: every part with its name, type and shape, numbers as little-endian bytes."""
    parts = {
        "probability": np.array(row.probability, np.float32),
        "map": row.map.numpy(),
        **{f"extra {name}": row.extras[name].numpy() for name in sorted(row.extras) if name not in PREDICTION},
    }
    digest = hashlib.sha256(json.dumps([row.id, row.label, row.target]).encode())
    for name, values in parts.items():
        little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        header = json.dumps([name, little.dtype.str, values.shape]).encode()
        digest.update(len(header).to_bytes(8, "little") + header + little.tobytes())
    return digest.digest()
