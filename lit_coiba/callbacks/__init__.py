"""Callbacks: what is shown while something runs, and what is kept when it has ended."""

from lit_coiba.callbacks.block_boundary import BlockBoundary
from lit_coiba.callbacks.contact_sheet import ContactSheet
from lit_coiba.callbacks.decisions import Decisions
from lit_coiba.callbacks.explain_callback import ExplainCallback
from lit_coiba.callbacks.export_readout import ExportReadout
from lit_coiba.callbacks.export_weights import ExportWeights
from lit_coiba.callbacks.predictions import PredictionTable
from lit_coiba.callbacks.progress import BlockProgress
from lit_coiba.callbacks.run_log import RunLog
from lit_coiba.callbacks.store_callback import Explained, StoreCallback

__all__ = [
    "BlockBoundary",
    "BlockProgress",
    "ContactSheet",
    "Decisions",
    "ExplainCallback",
    "Explained",
    "ExportReadout",
    "ExportWeights",
    "PredictionTable",
    "RunLog",
    "StoreCallback",
]
