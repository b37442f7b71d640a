"""What splits are called, in folders and in tables."""

from __future__ import annotations

import re

WHOLE = ""  # the only part where there are no splits

# A split -> its names, in any case; a year may follow, as in val2017.
_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev", "devel", "development", "eval", "evaluation"),
    "test": ("test", "testing"),
}
SPLITS = tuple(_NAMES)
_YEAR = re.compile(r"[-_ ]?(19|20)\d\d$")


def split_called(name: str) -> str | None:
    """The split that a name stands for; None = none.

    Example:
        >>> split_called("Validation"), split_called("val2017"), split_called("cats")
        ('val', 'val', None)
    """
    short = _YEAR.sub("", name.strip().lower())
    return next((split for split, names in _NAMES.items() if short in names), None)
