"""Explanations on disk: one Parquet file per block, a manifest, and the writer that fills them."""

from lit_coiba.store.manifest import Manifest
from lit_coiba.store.merge import merge
from lit_coiba.store.records import BlockRecord, Row
from lit_coiba.store.store import ExplanationStore

__all__ = ["BlockRecord", "ExplanationStore", "Manifest", "Row", "merge"]
