"""What a terminal is spared: advertisements, and warnings that are about nothing the user gave."""

from __future__ import annotations

import logging
import warnings


def quieten() -> None:
    """Leave such lines out, for the rest of this process."""
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_is_about_this_run)
    warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)  # between versions of torch and Lightning


def _is_about_this_run(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    return "Tip:" not in message and not message.startswith("TPU available: False")
