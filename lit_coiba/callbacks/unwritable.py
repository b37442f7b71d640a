"""Pictures and logs are no results: where they cannot be written, a run goes on."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.files.regular import clause


@contextmanager
def unwritable_is_a_warning(what: str | Path) -> Iterator[None]:
    """Within this, what cannot be written is left out with a warning.

    Args:
        what: What is written, as the beginning of a sentence.
    """
    try:
        yield
    except (OSError, InputError) as error:
        about = clause(error) if isinstance(error, OSError) else str(error)
        where = f" ({printable(error.filename, 150)})" if isinstance(error, OSError) and error.filename else ""
        warnings.warn(
            f"{printable(what, 150)} cannot be written and is left out: {about}{where}; everything else is there",
            stacklevel=4,
        )
