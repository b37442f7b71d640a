"""What failed among the samples of a run, and the exit status that says so."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lit_coiba.cli import terminal
from lit_coiba.core.printable import counted, printable

if TYPE_CHECKING:
    from lit_coiba.core.batch import Failure

SHOWN = 5  # failures whose reasons are shown
_ID, _REASON = 120, 300  # characters
SOME_FAILED = 3  # exit status


def report_failures(failures: Sequence[Failure], remedy: str, every: str) -> int:
    """Print how many samples failed and why the first ones did; the exit status, 0 where none failed.

    Args:
        failures: The samples.
        remedy: What to do about them.
        every: Where all of them are listed.
    """
    if not failures:
        return 0
    terminal.remark(f"finished, but {counted(len(failures), 'image')} failed; {remedy}")
    told = [f"  {printable(failure.id, _ID)}: {printable(failure.reason, _REASON)}" for failure in failures[:SHOWN]]
    if len(failures) > SHOWN:
        told.append(f"  and {len(failures) - SHOWN:,} more, which {every} lists")
    terminal.say(*told, file=sys.stderr)
    return SOME_FAILED
