"""The samples that a folder of results is about, in a small table beside its manifest: to name what changes later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lit_coiba.data.fingerprint import Fingerprint
from lit_coiba.files.atomic import atomically
from lit_coiba.files.json_text import decode_json
from lit_coiba.files.owned import begins, check_own_file
from lit_coiba.files.regular import is_regular, open_regular

SAMPLES = "samples.parquet"

_SCHEMA = pa.schema({"id": pa.string(), "version": pa.string(), "label": pa.int32()})  # label null = none
_CLASSES = b"lit_coiba.classes"  # JSON list of class names


def read_samples(folder: Path) -> Fingerprint | None:
    """What `write_samples` wrote; None where there is none, as in folders of version 0.1.0, or it is damaged."""
    path = folder / SAMPLES
    if not is_regular(path):
        return None
    try:
        with open_regular(path) as source:
            table = pq.read_table(source, page_checksum_verification=True, use_threads=False)
        if not table.schema.equals(_SCHEMA):
            return None
        classes: list[str] = decode_json((table.schema.metadata or {}).get(_CLASSES, b"[]"), list[str])
        labels = [-1 if label is None else label for label in table["label"].to_pylist()]
        ids, versions = ([text or "" for text in table[name].to_pylist()] for name in ("id", "version"))
    except Exception:  # whatever Arrow makes of bytes that are something else
        return None
    return Fingerprint(ids, versions, labels, classes)


def write_samples(folder: Path, samples: Fingerprint, kept: Mapping[str, str] | None = None) -> None:
    """Write the table, unless it is there already.

    Args:
        folder: Folder of the results.
        samples: The samples.
        kept: Versions of samples whose result is that of an earlier version, by id.

    Raises:
        OSError: The disk is full, the folder is read-only, ...
    """
    versions = [(kept or {}).get(name, version) for name, version in zip(samples.ids, samples.versions)]
    now = Fingerprint(list(samples.ids), versions, list(samples.labels), list(samples.classes))
    if read_samples(folder) == now:
        return
    labels = pa.array(now.labels, pa.int32(), mask=_unlabelled(now))
    schema = _SCHEMA.with_metadata({_CLASSES: json.dumps(now.classes).encode()})
    check_own_file(folder / SAMPLES, "samples", begins("PAR1"))
    with atomically(folder / SAMPLES) as out:
        table = pa.table([pa.array(now.ids, pa.string()), pa.array(versions, pa.string()), labels], schema=schema)
        pq.write_table(table, out, compression="zstd", write_statistics=False, write_page_checksum=True)


def _unlabelled(samples: Fingerprint) -> pa.Array:
    return pa.array([label < 0 for label in samples.labels], pa.bool_()).to_numpy(zero_copy_only=False)
