"""Callbacks: what is shown while something runs, and what is kept when it has ended."""

from lit_coiba.callbacks.export_weights import ExportWeights
from lit_coiba.callbacks.progress import BlockProgress

__all__ = ["BlockProgress", "ExportWeights"]
