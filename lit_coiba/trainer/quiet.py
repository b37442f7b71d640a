"""Lightning's remarks that are no news to someone who explains a dataset."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

TIP = "Tip:"  # how Lightning's advertisements for other products begin
TELLER = "lightning.pytorch.utilities.rank_zero"  # the logger that they come by
SEED_TELLER = "lightning.fabric.utilities.seed"
NOISE = (
    ".*LeafSpec.*",  # Lightning on torch 2.14
    ".*does not have many workers.*",  # where we chose their number, and where the user did
    "predict returned None",  # a pass for statistics writes files, and returns nothing
    "Couldn't infer the batch indices",  # our samples have ids, which travel in the batch
)


@contextmanager
def quiet() -> Iterator[None]:
    """Without hardware that was not found, tips for other products and advice that does not apply.

    Warnings that are about what the user gave (an accelerator that lies idle, say) come through.
    """
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger, level in zip(loggers, levels):
        logger.setLevel(max(level, logging.WARNING))
    try:
        with warnings.catch_warnings():
            for message in NOISE:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)


@contextmanager
def without_tips() -> Iterator[None]:
    """Without Lightning's advertisements; all else that it says comes through."""
    logger = logging.getLogger(TELLER)
    logger.addFilter(_no_tip)
    try:
        yield
    finally:
        logger.removeFilter(_no_tip)


@contextmanager
def without_seed() -> Iterator[None]:
    """Without Lightning's line about the seed, which every command would begin with."""
    logger = logging.getLogger(SEED_TELLER)
    logger.addFilter(_no_seed)
    try:
        yield
    finally:
        logger.removeFilter(_no_seed)


def _no_seed(record: logging.LogRecord) -> bool:
    return "Seed set to" not in record.getMessage()


def _no_tip(record: logging.LogRecord) -> bool:
    return TIP not in record.getMessage()
